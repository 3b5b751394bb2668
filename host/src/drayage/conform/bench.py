"""Runs scenarios under a temporary Dagster instance, and leaves nothing behind."""

import contextlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dagster as dg

from drayage.client import DrayageClient
from drayage.conform.evidence import Evidence
from drayage.conform.expectations import TOKEN, messages_per_second
from drayage.conform.scenarios import SECRET, Scenario
from drayage.engines import default_engine
from drayage.exchange.directory import Attempt
from drayage.exchange.record import VerdictRecord
from drayage.exchange.trial_folder import trial_folder
from drayage.pipes.reader import LogMessageReader
from drayage.secrets import FileSecret


@dataclass(frozen=True)
class Report:
    """The result of one scenario.

    Args:
        image: The image under test.
        scenario: Name of the scenario.
        failures: Every expectation that does not hold; empty if all hold.
        start_s: Seconds from the container's creation to the first message; None if there was no message.
        messages_per_second: Rate at which messages were written and read; None in scenarios that do not measure it.
    """

    image: str
    scenario: str
    failures: tuple[str, ...]
    start_s: float | None = None
    messages_per_second: float | None = None

    @property
    def holds(self) -> bool:
        """Whether every expectation holds."""
        return not self.failures

    def must_hold(self) -> None:
        """Fail the test if an expectation does not hold.

        Raises:
            AssertionError: An expectation does not hold; all that do not are named.
        """
        if self.failures:
            raise AssertionError(f"{self.image} does not keep scenario {self.scenario!r}: " + "; ".join(self.failures))


class Bench:
    """The test bench for one image, on the environment's engine; a context manager.

    Args:
        image: Name or id of the image.
        exchange_root: A directory on this machine; the engine must be able to mount it if it is local.
    """

    def __init__(self, image: str, *, exchange_root: Path) -> None:
        self._image = image
        self._exchange_root = exchange_root
        self._engine = default_engine()
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Create the Dagster instance and the exchange root."""
        with self._cleanup:
            self._root = self._cleanup.enter_context(trial_folder(self._exchange_root))
            home = self._cleanup.enter_context(tempfile.TemporaryDirectory())
            self._token = Path(home) / SECRET
            self._token.write_text(TOKEN, encoding="utf-8")
            self._instance = self._cleanup.enter_context(dg.DagsterInstance.local_temp(home))
            self._cleanup = self._cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the Dagster instance and the exchange root, with all exchange directories."""
        self._cleanup.close()

    def run(self, scenario: Scenario) -> Report:
        """Run a scenario, and compare its results with the expected ones.

        Args:
            scenario: One of :data:`drayage.conform.SCENARIOS`.

        Returns:
            The report.
        """
        client = DrayageClient(
            exchange_root=self._root,
            deployment=self._root.name,
            network="none" if self._engine.has_networks else None,
            secrets={SECRET: FileSecret(str(self._token))},
            message_reader=LogMessageReader() if scenario.by_output else None,
            engine=self._engine,
        )

        def step(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> Iterator[Any]:
            completed = client.run(
                context=context,
                image=self._image,
                extras=scenario.asked,
                secrets=scenario.secrets,
                keep="never",
                # A workload that hangs must not hang its test.
                **{"timeout_s": 120.0, **scenario.settings},
            )
            yield from completed.get_results()

        printed = {"stdout": io.StringIO(), "stderr": io.StringIO()}
        with contextlib.redirect_stdout(printed["stdout"]), contextlib.redirect_stderr(printed["stderr"]):
            result = self._execute(scenario, step)
        entries = self._instance.all_logs(result.run_id)
        directory = next(iter(self._root.glob(f"{result.run_id}/*/*")), None)
        if directory is None or VerdictRecord.read(Attempt(directory, directory.name)) is None:
            return Report(self._image, scenario.name, (f"no container ran: {_failure(entries)}",))
        evidence = Evidence(
            entries,
            directory,
            {name: text.getvalue() for name, text in printed.items()},
            has_streams=self._engine.has_streams,
        )
        failures = list(scenario.expect(evidence))
        if result.success != scenario.green:
            failures.insert(0, "the step succeeded" if result.success else _failure(entries))
        return Report(
            self._image,
            scenario.name,
            tuple(failures),
            start_s=evidence.start_s,
            messages_per_second=messages_per_second(evidence),
        )

    def _execute(self, scenario: Scenario, step: Any) -> Any:
        asked = scenario.step
        if asked.source is not None:
            dg.materialize(asked.made_before(), instance=self._instance)
        if asked.assets:
            return dg.materialize(
                [asked.definition(step)],
                instance=self._instance,
                partition_key=asked.partition_key,
                tags=dict(asked.tags),
                raise_on_error=False,
            )

        @dg.op(name="step")
        def op(context: dg.OpExecutionContext) -> None:
            for _ in step(context):
                pass

        @dg.job(name="conform")
        def job() -> None:
            op()

        return job.execute_in_process(instance=self._instance, raise_on_error=False)


def _failure(entries: Sequence[dg.EventLogEntry]) -> str:
    """Return why the step failed, as Dagster recorded it."""
    for entry in entries:
        event = entry.dagster_event
        if event is not None and event.event_type == dg.DagsterEventType.STEP_FAILURE:
            told = event.step_failure_data.user_failure_data
            return (told.description if told is not None else None) or str(event.step_failure_data.error)
    return "Dagster recorded no reason for the step's failure"
