"""Runs a prepared container to its end outside Dagster, shows what it says, and judges it as the host would."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from threading import Event
from typing import Any, cast

import dagster as dg
from dagster_pipes import PipesDefaultMessageWriter, decode_param

from drayage.dagster_internals import metadata_from_pipes
from drayage.engine import Engine, remove_container
from drayage.errors import SettingsError
from drayage.exchange.directory import WORKLOAD_MESSAGES
from drayage.exchange.record import VERDICT
from drayage.interrupts import held_back
from drayage.pipes.adapter import open_adapter
from drayage.pipes.ledger import Ledger
from drayage.pipes.reader import LogMessageReader, MessageFileReader
from drayage.pipes.schema import is_runner_message
from drayage.pipes.transcript import described
from drayage.promise import Promise
from drayage.replay.prepare import PreparedReplay
from drayage.secrets import Redactor, scrub
from drayage.step.launch import Launched, Launcher
from drayage.step.output import OutputLogs, open_output_logs
from drayage.step.watch import Watch
from drayage.verdict.judge import Verdict, judge
from drayage.verdict.promises import broken_promises, unreported_promises

_MESSAGES = "DAGSTER_PIPES_MESSAGES"


class Replay:
    """One step, once more.

    Args:
        prepared: The container.
        engine: Where it runs.
        show: Shows one line to people.
    """

    def __init__(self, prepared: PreparedReplay, *, engine: Engine, show: Callable[[str], None]) -> None:
        self._prepared = prepared
        self._engine = engine
        self._show = show
        self._changed = Event()
        self._redact = Redactor(prepared.request.secrets.values())
        self._ledger = Ledger(on_activity=self._changed.set, keep_custom=True, redact=self._redact)
        self._container_id: str | None = None
        self._launched: Launched | None = None

    def run(self) -> Verdict:
        """Run it, remove its container, and leave its directory with verdict and logs.

        Raises:
            DrayageError: The engine refuses or fails.
        """
        with held_back():
            return self._run()

    def _run(self) -> Verdict:
        attempt = self._prepared.attempt
        handler = ReplayHandler(
            self._show,
            assets=self._assets(),
            promised=self._prepared.request.promised,
        )
        reader = self._reader()
        intercept = reader.take_line if isinstance(reader, LogMessageReader) else None
        try:
            with (
                open_adapter(
                    self._prepared.request.adapter,
                    self._prepared.request.promised,
                    messages=attempt.messages,
                    redact=self._redact,
                ) as adapter,
                open_output_logs(
                    attempt.stdout, attempt.stderr, self._redact, intercept=intercept, adapter=adapter
                ) as logs,
                # The ledger asks a handler for no more than this one has.
                reader.read_messages(self._ledger.over(cast("dg.PipesMessageHandler", handler))),
            ):
                try:
                    launched = self._launch(logs)
                    watch = Watch(
                        launched, self._prepared.request.settings, ledger=self._ledger, logs=logs, changed=self._changed
                    )
                    for _ in watch.changes():
                        pass
                except BaseException:
                    # While its last messages are still read.
                    self._end_early()
                    raise
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
            attempt.write_json(VERDICT, {"green": verdict.green, "reasons": reasons, "state": asdict(state)})
            return verdict
        finally:
            self._clean_up()

    def _assets(self) -> set[str]:
        context = self._prepared.attempt.context
        if not context.is_file():
            return set()
        return set(json.loads(context.read_bytes()).get("asset_keys") or ())

    def _reader(self) -> MessageFileReader | LogMessageReader:
        raw = self._prepared.bootstrap.get(_MESSAGES)
        params: Any = decode_param(raw) if raw else {}
        if params.get(PipesDefaultMessageWriter.FILE_PATH_KEY) == WORKLOAD_MESSAGES:
            return MessageFileReader(self._prepared.attempt.messages, workload_path=WORKLOAD_MESSAGES)
        if PipesDefaultMessageWriter.STDIO_KEY in params:
            return LogMessageReader()
        raise SettingsError(
            "The step sent its messages by a reader of its own, which only Dagster has: materialize it there."
        )

    def _launch(self, logs: OutputLogs) -> Launched:
        launcher = Launcher(
            self._prepared.request,
            self._engine,
            on_change=self._changed.set,
            on_created=self._note_container,
            on_launched=self._note_launched,
            on_leftover=lambda error: self._show(str(error)),
        )
        return launcher.launch(self._prepared.attempt, logs, bootstrap=self._prepared.bootstrap, fingerprint="replay")

    def _note_container(self, container_id: str) -> None:
        self._container_id = container_id

    def _note_launched(self, launched: Launched) -> None:
        self._launched = launched

    def _end_early(self) -> None:
        """Nothing of a replay goes on unseen, also after Ctrl-C."""
        launched, settings = self._launched, self._prepared.request.settings
        if launched is not None and self._engine.state(launched.state.id).status != "created":
            launched.follower.stop(settings.stop_signal, settings.stop_grace_s)

    def _clean_up(self) -> None:
        if self._container_id is not None:
            labels = self._engine.state(self._container_id).labels
            remove_container(self._engine, labels, self._container_id)
        if self._redact.hits:
            scrub(self._prepared.attempt.messages, self._redact)


class ReplayHandler:
    """Takes messages as Dagster's handler does, and shows each.

    Args:
        show: Shows one line.
        assets: The assets that the step makes; empty takes any.
        promised: What each of them must report.
    """

    def __init__(
        self, show: Callable[[str], None], *, assets: set[str], promised: Mapping[str, Mapping[str, Promise]]
    ) -> None:
        self._show = show
        self._assets = assets
        self._promised = promised
        self._reported: set[str] = set()
        self.broken: list[str] = []

    def handle_message(self, message: Any) -> None:
        """Take one message, which the ledger has found to be one; what metadata is not understood raises."""
        method, params = message["method"], message["params"]
        self._show(described(message))
        if method == "report_asset_materialization":
            self._judge_materialization(params)
        elif method == "report_custom_message" and is_runner_message(params["payload"]):
            metadata_from_pipes(params["payload"]["metadata"])

    def get_reported_results(self) -> tuple[()]:
        """Nothing: a replay reports nothing to Dagster."""
        return ()

    def report_pipes_framework_exception(self, origin: str, exc_info: Any) -> None:
        """Show a reader's own error; the ledger takes note of it."""
        self._show(f"{origin}: {exc_info[1]}")

    def broken_promises(self) -> list[str]:
        """Every promise that was not kept, those about assets that were not reported included."""
        return self.broken + unreported_promises(self._promised, self._reported)

    def _judge_materialization(self, params: Mapping[str, Any]) -> None:
        asset = params["asset_key"]
        self._reported.add(asset)
        metadata = metadata_from_pipes(params.get("metadata") or {})
        if self._assets and asset not in self._assets:
            self.broken.append(f"a materialization of {asset} was reported, which is none of the step's assets")
        self.broken += [
            f"{asset} was promised metadata: {text}"
            for text in broken_promises(self._promised.get(asset, {}), metadata)
        ]
