"""Runs a prepared container to its end outside Dagster, shows its messages, and judges it as the host would."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import dagster as dg
from dagster_pipes import PipesDefaultMessageWriter, decode_param

from drayage.dagster_internals import metadata_from_pipes
from drayage.engine import ContainerState, Engine, Mailbox
from drayage.errors import SettingsError
from drayage.identity import EXCHANGE
from drayage.interrupts import held_back
from drayage.mailbox import WORKLOAD_MESSAGES
from drayage.pipes.limits import MessageLimits
from drayage.pipes.reader import LogMessageReader, MailboxReader
from drayage.pipes.schema import is_runner_message
from drayage.pipes.transcript import described, on_one_line
from drayage.promise import Promise
from drayage.replay.prepare import PreparedReplay
from drayage.step.output import OutputLogs
from drayage.step.runner import Runner
from drayage.verdict.judge import Verdict
from drayage.verdict.reports import Expected, Reports

_MESSAGES = "DAGSTER_PIPES_MESSAGES"


class Replay:
    """Runs one step again.

    Args:
        prepared: The prepared container.
        engine: The engine that runs the container.
        show: Prints one line.
    """

    def __init__(self, prepared: PreparedReplay, *, engine: Engine, show: Callable[[str], None]) -> None:
        self._prepared = prepared
        self._engine = engine
        self._show = show
        self._runner = Runner(
            prepared.request,
            engine,
            # The handler below shows every message.
            on_custom=lambda _payload: True,
        )

    def run(self) -> Verdict:
        """Run the container and remove it; its exchange directory stays, with verdict and logs.

        Returns:
            The verdict.

        Raises:
            DrayageError: The engine refuses or fails.
        """
        with held_back():
            try:
                return self._run_step()
            finally:
                self._clean_up()

    def _run_step(self) -> Verdict:
        attempt, promised, runner = self._prepared.attempt, self._prepared.request.promised, self._runner
        handler = ReplayHandler(self._show, assets=self._assets(), promised=promised)
        with contextlib.ExitStack() as stack:
            mailbox = stack.enter_context(self._mailbox())
            reader = self._reader(mailbox)
            logs = stack.enter_context(runner.open_logs(attempt, reader))
            # The ledger needs nothing of a handler that this one lacks.
            ledger_handler = runner.ledger.over(cast("dg.PipesMessageHandler", handler))
            stack.enter_context(reader.read_messages(ledger_handler))
            state = self._run_container(mailbox, logs)
        runner.ledger.finish()
        facts = runner.facts(
            state, broken_promises=handler.broken_promises(), debug_text=reader.no_messages_debug_text()
        )
        return runner.record(attempt, runner.judge(facts), state)

    def _run_container(self, mailbox: Mailbox, logs: OutputLogs) -> ContainerState:
        prepared, runner = self._prepared, self._runner
        try:
            launched = runner.launcher.launch(
                runner.launcher.create(prepared.attempt, mailbox, bootstrap=prepared.bootstrap),
                prepared.attempt,
                logs,
                bootstrap=prepared.bootstrap,
                fingerprint="replay",
            )
            for _ in runner.changes(launched, logs):
                pass
        except BaseException:
            # Stop it while its last messages are still read, also after Ctrl-C: a replay never runs on unseen.
            if runner.launched is not None and runner.was_started():
                runner.stop(runner.launched)
            raise
        return runner.result(launched, logs)

    def _assets(self) -> set[str]:
        context = self._prepared.context
        return set() if context is None else set(json.loads(context).get("asset_keys") or ())

    @contextlib.contextmanager
    def _mailbox(self) -> Iterator[Mailbox]:
        prepared = self._prepared
        labels = {**prepared.request.identity.labels(), EXCHANGE: prepared.attempt.name}
        mailbox = self._engine.mailbox(prepared.attempt.io, labels=labels, receives=prepared.request.adapter is None)
        try:
            if prepared.context is not None:
                mailbox.put_context(prepared.context)
            yield mailbox
        finally:
            mailbox.collect()

    def _reader(self, mailbox: Mailbox) -> MailboxReader | LogMessageReader:
        raw = self._prepared.bootstrap.get(_MESSAGES)
        params: Any = decode_param(raw) if raw else {}
        limits = MessageLimits.of(self._prepared.request.settings)
        if params.get(PipesDefaultMessageWriter.FILE_PATH_KEY) == WORKLOAD_MESSAGES:
            return MailboxReader(mailbox, kept_in=self._prepared.attempt.messages, limits=limits)
        if PipesDefaultMessageWriter.STDIO_KEY in params:
            return LogMessageReader(limits)
        raise SettingsError(
            "The step's messages went to a custom message reader, which only Dagster can use: materialize the step "
            "there."
        )

    def _clean_up(self) -> None:
        container_id = self._runner.container_id
        if container_id is not None:
            self._engine.remove(container_id)
        self._runner.scrub(self._prepared.attempt)


class ReplayHandler:
    """Takes messages in place of Dagster's handler, and prints each.

    Args:
        show: Prints one line.
        assets: Keys of the assets that the step makes; if empty, any asset is accepted.
        promised: The promises of each asset.
    """

    def __init__(
        self, show: Callable[[str], None], *, assets: set[str], promised: Mapping[str, Mapping[str, Promise]]
    ) -> None:
        self._show = show
        # What else must be reported, only Dagster knows.
        self._reports = Reports(Expected(promised=promised, assets=assets or None, required_assets=_with(promised)))
        self.broken: list[str] = []
        self.received_closed_message = False

    def handle_message(self, message: Any) -> None:
        """Take one message, which the ledger has validated; metadata that cannot be understood raises an error."""
        method, params = message["method"], message["params"]
        self._show(described(message))
        self.received_closed_message = method == "closed"
        if method in {"report_asset_materialization", "report_asset_check"}:
            self._judge_result(params)
        elif method == "report_custom_message" and is_runner_message(params["payload"]):
            metadata_from_pipes(params["payload"]["metadata"])

    def get_reported_results(self) -> tuple[()]:
        """Return nothing: a replay reports nothing to Dagster."""
        return ()

    def report_pipes_framework_exception(self, origin: str, exc_info: Any) -> None:
        """Print a reader's own error; the ledger records it."""
        self._show(on_one_line(f"{origin}: {exc_info[1]}"))

    def broken_promises(self) -> list[str]:
        """Return every promise that was not kept, including those of assets that were not reported."""
        return self.broken + self._reports.missing()

    def _judge_result(self, params: Mapping[str, Any]) -> None:
        asset, metadata = params["asset_key"], metadata_from_pipes(params.get("metadata") or {})
        if "check_name" in params:
            self.broken += self._reports.take_check(asset, params["check_name"])
        else:
            self.broken += self._reports.take_materialization(asset, metadata)


def _with(promised: Mapping[str, Mapping[str, Promise]]) -> set[str]:
    return {asset for asset, promises in promised.items() if promises}
