"""Knows which runs are over, and to whom a run belongs."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from drayage.dagster_internals import instance_id, run_tags
from drayage.exchange.process_lock import has_ended, is_process

_ROOT_RUN_TAG = "dagster/root_run_id"
# SQLite takes up to 32,766 values in one query, older versions 999.
_AT_ONCE = 500


@dataclass(frozen=True)
class _Chain:
    """A run with everything that retries it, or that it retries."""

    finished: bool
    ended_s: float


class Runs:
    """The runs of one Dagster instance, read in few queries.

    A run that the instance does not know may be another instance's, or a call's that Dagster never knew, or may have
    been deleted: it is not over.

    Args:
        instance: Dagster's instance.
        exchange_root: The root of the exchange directories, which shows which processes still live.
        grace_s: Time after the end of a run in which it can still be retried, in seconds.
        clock: Returns the current time in seconds since the epoch.

    Attributes:
        instance_id: Id of the instance.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        exchange_root: Path,
        *,
        grace_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._instance = instance
        self._exchange_root = exchange_root
        self._grace_s = grace_s
        self._clock = clock
        self._chains: dict[str, _Chain | None] = {}
        self._ended_processes: dict[str, bool | None] = {}
        self.instance_id = instance_id(instance)

    def load(self, run_ids: Iterable[str]) -> None:
        """Ask Dagster for many runs at once.

        Args:
            run_ids: Ids of runs.
        """
        # A folder may have any name; no run has one that a database could not take.
        missing = sorted({it for it in run_ids if it and it.isascii() and it.isprintable()} - self._chains.keys())
        for start in range(0, len(missing), _AT_ONCE):
            wanted = missing[start : start + _AT_ONCE]
            records = self._instance.get_run_records(dg.RunsFilter(run_ids=wanted))
            root_of = {it.dagster_run.run_id: it.dagster_run.root_run_id or it.dagster_run.run_id for it in records}
            chains: dict[str, list[dg.RunRecord]] = {}
            for record in (*records, *self._relatives(sorted(set(root_of.values())))):
                run = record.dagster_run
                chains.setdefault(run.root_run_id or run.run_id, []).append(record)
            for run_id in wanted:
                root = root_of.get(run_id)
                self._chains[run_id] = None if root is None else _chain(chains[root])

    def forget(self, run_id: str) -> None:
        """Ask Dagster again about a run: it may have been retried since.

        Args:
            run_id: Id of the run.
        """
        self._chains.pop(run_id, None)

    def is_known(self, run_id: str) -> bool:
        """Return whether Dagster has a record of a run."""
        return self._chain(run_id) is not None

    def is_ours(self, run_id: str, origin: str) -> bool:
        """Return whether what a run left may be removed by this instance.

        Args:
            run_id: Id of the run.
            origin: Id of the instance, or name of the process, that the run belongs to; empty if not recorded.
        """
        return self.is_known(run_id) or origin == self.instance_id or self._has_ended(origin) is not None

    def is_over(self, run_id: str, origin: str) -> bool:
        """Return whether every run of the chain has ended, and the time for a retry has passed.

        Args:
            run_id: Id of the run.
            origin: As in :meth:`is_ours`.
        """
        chain = self._chain(run_id)
        if chain is not None:
            return chain.finished and self._clock() - chain.ended_s > self._grace_s
        return self._has_ended(origin) is True

    def has_finished(self, run_id: str) -> bool:
        """Return whether Dagster knows that a run, with every run of its chain, has ended."""
        chain = self._chain(run_id)
        return chain is not None and chain.finished

    def in_containers(self, container_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the ids of the runs that were executed in containers, by container.

        Args:
            container_ids: Ids of containers.
        """
        return run_tags.containers_with_runs(self._instance, container_ids)

    def _has_ended(self, origin: str) -> bool | None:
        if origin not in self._ended_processes:
            ended = has_ended(self._exchange_root, origin) if is_process(origin) else None
            self._ended_processes[origin] = ended
        return self._ended_processes[origin]

    def _chain(self, run_id: str) -> _Chain | None:
        self.load([run_id])
        return self._chains.get(run_id)

    def _relatives(self, roots: list[str]) -> list[dg.RunRecord]:
        if not roots:
            return []
        filters = (dg.RunsFilter(run_ids=roots), dg.RunsFilter(tags={_ROOT_RUN_TAG: roots}))
        return [record for runs in filters for record in self._instance.get_run_records(runs)]


def _chain(records: list[dg.RunRecord]) -> _Chain:
    return _Chain(
        finished=all(record.dagster_run.is_finished for record in records),
        ended_s=max(record.end_time or record.update_timestamp.timestamp() for record in records),
    )
