"""Runs a prepared container to its end outside Dagster, shows what it says, and judges it as the host would."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from threading import Event
from typing import Any, cast

import dagster as dg
from dagster_pipes import PipesDefaultMessageWriter, decode_param

from drayage.adapter import open_adapter
from drayage.engine import Engine, remove_container
from drayage.errors import SettingsError
from drayage.exchange import WORKLOAD_MESSAGES
from drayage.launch import Launched, Launcher
from drayage.ledger import Ledger
from drayage.outcome import Verdict, judge
from drayage.output import OutputLogs, open_output_logs
from drayage.reader import LogMessageReader, MessageFileReader
from drayage.record import VERDICT
from drayage.rerun import Rerun
from drayage.secrets import Redactor, scrub
from drayage.transcript import ReplayHandler
from drayage.watch import Watch

_MESSAGES = "DAGSTER_PIPES_MESSAGES"


class Replay:
    """One step, once more.

    Args:
        rerun: The container.
        engine: Where it runs.
        show: Shows one line to people.
    """

    def __init__(self, rerun: Rerun, *, engine: Engine, show: Callable[[str], None]) -> None:
        self._rerun = rerun
        self._engine = engine
        self._show = show
        self._changed = Event()
        self._redact = Redactor(rerun.request.secrets.values())
        self._ledger = Ledger(on_activity=self._changed.set, keep_custom=True, redact=self._redact)
        self._container_id: str | None = None
        self._launched: Launched | None = None

    def run(self) -> Verdict:
        """Run it, remove its container, and leave its directory with verdict and logs.

        Raises:
            DrayageError: The engine refuses or fails.
        """
        attempt = self._rerun.attempt
        handler = ReplayHandler(
            self._show,
            assets=self._assets(),
            promised={key.to_user_string(): kept for key, kept in self._rerun.request.promised.items()},
        )
        reader = self._reader()
        intercept = reader.take_line if isinstance(reader, LogMessageReader) else None
        try:
            with (
                open_adapter(
                    self._rerun.request.adapter,
                    self._rerun.request.promised,
                    messages=attempt.messages,
                    redact=self._redact,
                ) as adapter,
                open_output_logs(
                    attempt.stdout, attempt.stderr, self._redact, intercept=intercept, adapter=adapter
                ) as logs,
                # The ledger asks a handler for no more than this one has.
                reader.read_messages(self._ledger.over(cast("dg.PipesMessageHandler", handler))),
            ):
                launched = self._launch(logs)
                watch = Watch(
                    launched, self._rerun.request.settings, ledger=self._ledger, logs=logs, changed=self._changed
                )
                for _ in watch.changes():
                    pass
                state = launched.follower.result()
                logs.end(state.exit_code)
            verdict = judge(
                self._ledger.facts(
                    state,
                    broken_promises=handler.broken_promises(),
                    limit=watch.limit,
                    debug_text=reader.no_messages_debug_text(),
                )
            )
            reasons = [self._redact.text(reason.text) for reason in verdict.reasons]
            attempt.write_record(VERDICT, {"green": verdict.green, "reasons": reasons, "state": asdict(state)})
            return verdict
        finally:
            self._clean_up()

    def _assets(self) -> set[str]:
        context = self._rerun.attempt.context
        if not context.is_file():
            return set()
        return set(json.loads(context.read_bytes()).get("asset_keys") or ())

    def _reader(self) -> MessageFileReader | LogMessageReader:
        raw = self._rerun.bootstrap.get(_MESSAGES)
        params: Any = decode_param(raw) if raw else {}
        if params.get(PipesDefaultMessageWriter.FILE_PATH_KEY) == WORKLOAD_MESSAGES:
            return MessageFileReader(self._rerun.attempt.messages, workload_path=WORKLOAD_MESSAGES)
        if PipesDefaultMessageWriter.STDIO_KEY in params:
            return LogMessageReader()
        raise SettingsError(
            "The step sent its messages by a reader of its own, which only Dagster has: materialize it there."
        )

    def _launch(self, logs: OutputLogs) -> Launched:
        launcher = Launcher(
            self._rerun.request,
            self._engine,
            on_change=self._changed.set,
            on_created=self._note_container,
            on_launched=self._note_launched,
            on_leftover=lambda error: self._show(str(error)),
        )
        return launcher.launch(self._rerun.attempt, logs, bootstrap=self._rerun.bootstrap, fingerprint="replay")

    def _note_container(self, container_id: str) -> None:
        self._container_id = container_id

    def _note_launched(self, launched: Launched) -> None:
        self._launched = launched

    def _clean_up(self) -> None:
        """Also after Ctrl-C: nothing of a replay goes on unseen."""
        if self._launched is not None and not self._launched.follower.ended:
            with contextlib.suppress(KeyboardInterrupt):
                settings = self._rerun.request.settings
                self._launched.follower.stop(settings.stop_signal, settings.stop_grace_s)
        if self._container_id is not None:
            labels = self._engine.state(self._container_id).labels
            remove_container(self._engine, labels, self._container_id)
        if self._redact.hits:
            scrub(self._rerun.attempt.messages, self._redact)
