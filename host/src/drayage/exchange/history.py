"""Finds past attempts under the exchange root, and those of their containers that the engine still has."""

import contextlib
import heapq
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drayage.engine import ContainerState, Engine
from drayage.errors import ExchangeError, NotFoundError
from drayage.exchange.directory import REPLAYS, Attempt, Exchange
from drayage.exchange.process_lock import PROCESSES
from drayage.exchange.record import CONTAINER_FILE, ContainerRecord, VerdictRecord
from drayage.identity import EXCHANGE, RUN, Identity, short_run_id, slug
from drayage.mailbox import ENGINES

LAST = "last"
IMAGES = "images"
"""The folder below the exchange root for copies of images' files."""

RESERVED = frozenset({REPLAYS, IMAGES, PROCESSES, ENGINES})
"""The folders below the exchange root that are no runs."""

_NAMED = 10
_LOOKED_BACK = 20


@dataclass(frozen=True)
class PastAttempt:
    """One attempt of a step, as recorded in its exchange directory.

    Args:
        attempt: Its exchange directory.
        record: How its container was made; None if no container was made.
        verdict: How it was judged; None if it was not judged.
        created_at_s: When it began, in seconds since the epoch.
        problem: Why its records cannot be read; empty if they can.
    """

    attempt: Attempt
    record: ContainerRecord | None
    verdict: VerdictRecord | None
    created_at_s: float
    problem: str = ""

    @property
    def run_id(self) -> str:
        """The id of the run that it belongs to."""
        return self.attempt.name.split("/")[-3]

    @property
    def step(self) -> str:
        """Its step key, or the directory name derived from the key if no container was made."""
        return self.record.identity.step if self.record else self.attempt.path.parent.name

    def asset_names(self) -> set[str]:
        """Return the assets that it was asked to make, as ``group/name``."""
        try:
            context = json.loads(self.attempt.read_context() or b"{}")
        except ValueError:
            # Without a context file, the step can still be found by its key.
            return set()
        return {str(key) for key in context.get("asset_keys") or ()}

    def measure(self, name: str) -> float | None:
        """Return one of the numbers that were recorded with the verdict, or None if it was not recorded.

        Args:
            name: The number's metadata name, such as ``duration_s``; it includes the unit.
        """
        return self.verdict.measures.get(name) if self.verdict else None


class History:
    """The attempts of one deployment.

    Args:
        exchange: The attempts' directories.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def runs(self, limit: int | None = None) -> list[list[PastAttempt]]:
        """Return the attempts of every run, the latest run first and each run's attempts in order of creation.

        Args:
            limit: Read only the records of so many runs, the latest; None reads all.
        """
        found: list[list[PastAttempt]] = []
        for name in latest_first(self._exchange.root):
            if name not in RESERVED and (steps := self._steps(name)):
                found.append(steps)
            # A folder changes when a step of its run begins, so that an older run may stand before a younger one.
            if limit is not None and len(found) == limit + _LOOKED_BACK:
                break
        return sorted(found, key=lambda steps: -steps[0].created_at_s)[:limit]

    def run(self, wanted: str) -> list[PastAttempt]:
        """Return the attempts of one run, in order of creation.

        Args:
            wanted: The run's id, the beginning of its id, or ``last``.

        Raises:
            NotFoundError: No run matches, or several do.
        """
        if wanted == LAST:
            for steps in self.runs(limit=1):
                return steps
        names = [folder.name for folder in _folders(self._exchange.root) if folder.name not in RESERVED]
        exact = [name for name in names if name == wanted]
        begun = sorted(name for name in names if wanted and name.startswith(wanted))
        found = []
        for name in exact or begun:
            if steps := self._steps(name):
                found.append(steps)
            if len(found) > _NAMED:
                break
        if len(found) == 1:
            return found[0]
        if found:
            runs = ", ".join(steps[0].run_id for steps in found[:_NAMED]) + (" …" if len(found) > _NAMED else "")
            raise NotFoundError(f"{wanted!r} is the beginning of several runs ({runs}): give more of the id.")
        if not self.runs(limit=1):
            raise NotFoundError(
                f"No step is recorded under {self._exchange.root}. Set --exchange-root or DRAYAGE_EXCHANGE_ROOT to the "
                "root that the runs use."
            )
        raise NotFoundError(
            f"No run begins with {wanted!r} under {self._exchange.root}: `drayage runs` lists those that are "
            "recorded. Older ones were swept."
        )

    def step(self, run: str, wanted: str, attempt: str | None = None) -> PastAttempt:
        """Return one attempt of one step, by default the latest.

        Args:
            run: The run, as in :meth:`run`.
            wanted: The step's key, or the name of an asset that it makes, such as ``silver/cleaned_trips``.
            attempt: The name of the attempt's directory; None takes the latest.

        Raises:
            NotFoundError: The run has no such step, or the step has no such attempt.
        """
        steps = self.run(run)
        found = [step for step in steps if _is_called(step, wanted)]
        found = found or [step for step in steps if wanted in step.asset_names()]
        if not found:
            names = ", ".join(sorted({step.step for step in steps}))
            raise NotFoundError(f"Run {short_run_id(steps[0].run_id)} has no step or asset {wanted!r}: it has {names}.")
        chosen = [step for step in found if attempt in {None, step.attempt.path.name}]
        if not chosen:
            names = ", ".join(step.attempt.path.name for step in found)
            raise NotFoundError(f"Step {found[0].step} has no attempt {attempt!r}: it has {names}.")
        return chosen[-1]

    def _steps(self, run: str) -> list[PastAttempt]:
        found = []
        for io in sorted((self._exchange.root / run).glob("*/*/io")):
            attempt = Attempt(io.parent, str(io.parent.relative_to(self._exchange.root)))
            if not attempt.awaits_context:
                found.append(_read_any(attempt))
        return sorted(found, key=lambda step: step.created_at_s)


def latest_first(root: Path) -> Iterator[str]:
    """Yield the names of the folders in a folder, the one that was changed last first.

    Args:
        root: The folder; it need not exist.
    """
    waiting = []
    for folder in _folders(root):
        try:
            waiting.append((-folder.stat(follow_symlinks=False).st_mtime_ns, folder.name))
        except FileNotFoundError:
            # A sweep has just removed it.
            continue
    # Mostly few of many are asked for, so that sorting all of them would be in vain.
    heapq.heapify(waiting)
    while waiting:
        yield heapq.heappop(waiting)[1]


def _folders(root: Path) -> Iterator["os.DirEntry[str]"]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield entry


def read_step(attempt: Attempt) -> PastAttempt:
    """Return an attempt as its directory records it.

    Raises:
        ExchangeError: A record in the directory cannot be read.
    """
    record = ContainerRecord.read(attempt)
    created_at_s = record.created_at_s if record else attempt.path.stat().st_mtime
    return PastAttempt(attempt, record, VerdictRecord.read(attempt), created_at_s)


def _read_any(attempt: Attempt) -> PastAttempt:
    """Return an attempt, also one whose records cannot be read: it must not hide the others."""
    try:
        return read_step(attempt)
    except (ExchangeError, OSError) as error:
        return PastAttempt(attempt, None, None, attempt.path.stat().st_mtime, problem=str(error))


def last_record(exchange: Exchange, identity: Identity) -> ContainerRecord | None:
    """Return how a step's container was last made, in any run.

    Args:
        exchange: The attempts' directories.
        identity: The step, in a run that has not reached it yet.

    Returns:
        The record; None if no container of the step is recorded, or if the run has already reached the step.

    Raises:
        ExchangeError: The record cannot be read.
    """
    if (exchange.root / identity.run_id / slug(identity.step)).exists():
        return None
    for run in latest_first(exchange.root):
        found = (exchange.root / run / slug(identity.step)).glob(f"*/{CONTAINER_FILE}")
        for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
            record = ContainerRecord.read(Attempt(path.parent, str(path.parent.relative_to(exchange.root))))
            made_for = record and (record.identity.deployment, record.identity.step, record.identity.call)
            if made_for == (identity.deployment, identity.step, 0):
                return record
    return None


def require_record(step: PastAttempt) -> ContainerRecord:
    """Return how the attempt's container was made.

    Raises:
        ExchangeError: No container was made, or its record cannot be read.
    """
    if step.problem:
        raise ExchangeError(step.problem)
    if step.record is None:
        raise ExchangeError(
            f"Step {step.step} of run {short_run_id(step.run_id)} has had no container yet, so there is nothing to "
            "work from. See its failure in Dagster, or wait until it starts."
        )
    return step.record


def container_of(step: PastAttempt, engine: Engine) -> ContainerState | None:
    """Return the attempt's container, running or kept; None if it is gone."""
    found = engine.find({RUN: step.run_id, EXCHANGE: step.attempt.name})
    state = engine.state(found[0].id) if found else None
    return None if state is None or state.status == "gone" else state


def status(step: PastAttempt, container: ContainerState | None) -> str:
    """Return the status of an attempt, in one word.

    Args:
        step: The attempt.
        container: Its container; None if it is gone.

    Returns:
        ``succeeded`` or ``failed`` once judged; else ``lost`` (the container is gone), ``waiting`` (no container was
        made), ``unjudged`` (the container has ended) or the status of the container; ``unreadable`` if its records
        cannot be read.
    """
    if step.problem:
        return "unreadable"
    if step.verdict is not None:
        return "succeeded" if step.verdict.green else "failed"
    if container is None:
        return "lost" if step.record else "waiting"
    return "unjudged" if container.status == "ended" else container.status


def states(steps: Sequence[PastAttempt], engine: Engine) -> dict[str, ContainerState]:
    """Return those of many attempts' containers that the engine still has, by the name of the attempt."""
    wanted = {step.attempt.name for step in steps}
    found = [it for it in engine.find({EXCHANGE: ""}) if it.labels[EXCHANGE] in wanted]
    return {it.labels[EXCHANGE]: engine.state(it.id) for it in found}


def _is_called(step: PastAttempt, wanted: str) -> bool:
    return (
        wanted == step.step or slug(wanted) == step.attempt.path.parent.name or wanted.replace("/", "__") == step.step
    )
