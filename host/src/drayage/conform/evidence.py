"""Collects the evidence of a scenario's run from Dagster's event log and the exchange directory."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from drayage.exchange.directory import Attempt
from drayage.exchange.record import VerdictRecord
from drayage.pipes.schema import is_runner_message
from drayage.strangers import open_regular
from drayage.verdict.exception import read_exception


@dataclass(frozen=True)
class Evidence:
    """The evidence of one scenario's run.

    Args:
        entries: Dagster's event log of the run.
        directory: The step's exchange directory.
        printed: What the host printed during the run, by stream.
        has_streams: Whether the engine keeps the program's standard output and standard error apart.
    """

    entries: Sequence[dg.EventLogEntry]
    directory: Path
    printed: Mapping[str, str] = field(default_factory=dict)
    has_streams: bool = True

    @cached_property
    def context(self) -> Mapping[str, Any]:
        """The Pipes context that the host wrote for the program."""
        content: dict[str, Any] = json.loads((self.directory / "io" / "context.json").read_bytes())
        return content

    @cached_property
    def custom(self) -> Sequence[Any]:
        """Payloads of the custom messages, without those that drayage handles itself."""
        payloads = [params["payload"] for params in self._sent("report_custom_message")]
        return [payload for payload in payloads if not is_runner_message(payload)]

    @cached_property
    def exception(self) -> Mapping[str, Any] | None:
        """The exception that Pipes was closed with; None if there was none, or Pipes was not closed."""
        closed = list(self._sent("closed"))
        raw = closed[-1].get("exception") if closed and isinstance(closed[-1], Mapping) else None
        return None if raw is None else read_exception(raw)

    @cached_property
    def verdict(self) -> VerdictRecord | None:
        """The runner's verdict, with the container's state and measures; None if no container ran."""
        return VerdictRecord.read(Attempt(self.directory, self.directory.name))

    @property
    def exit_code(self) -> int | None:
        """The container's exit code; None if the container's end is not recorded."""
        return self.verdict.state.exit_code if self.verdict and self.verdict.state else None

    @property
    def start_s(self) -> float | None:
        """Seconds from the container's creation to its first message; None if that was not measured."""
        return self.verdict.measures.get("start_s") if self.verdict else None

    def output(self, stream: str) -> str:
        """Return what the program printed.

        Args:
            stream: ``stdout`` or ``stderr``.
        """
        return (self.directory / f"{stream}.log").read_text(encoding="utf-8", errors="backslashreplace")

    @property
    def materializations(self) -> Sequence[dg.AssetMaterialization]:
        """The recorded materializations, one for each partition."""
        return [
            event.step_materialization_data.materialization
            for event in self._events(dg.DagsterEventType.ASSET_MATERIALIZATION)
        ]

    @property
    def observations(self) -> Sequence[dg.AssetObservation]:
        """The observations that were recorded while the step ran."""
        return [
            event.asset_observation_data.asset_observation
            for event in self._events(dg.DagsterEventType.ASSET_OBSERVATION)
        ]

    @property
    def checks(self) -> Sequence[Any]:
        """The recorded evaluations of asset checks."""
        return [event.asset_check_evaluation_data for event in self._events(dg.DagsterEventType.ASSET_CHECK_EVALUATION)]

    @property
    def logs(self) -> Sequence[tuple[int, str, float]]:
        """The step's log lines: level, text and time, in seconds since the epoch."""
        return [
            (int(entry.level), entry.user_message, entry.timestamp)
            for entry in self.entries
            if entry.dagster_event is None and entry.step_key is not None
        ]

    def _events(self, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
        events = [entry.dagster_event for entry in self.entries if entry.dagster_event is not None]
        return [event for event in events if event.event_type == kind]

    def _sent(self, method: str) -> Iterator[Mapping[str, Any]]:
        """Yield the parameters of all messages with a method; the verdict covers lines that are not messages."""
        with open_regular(self.directory / "io" / "messages.jsonl") as lines:
            for line in lines:
                with contextlib.suppress(ValueError):
                    message = json.loads(line)
                    if isinstance(message, Mapping) and message.get("method") == method:
                        yield message.get("params") or {}
