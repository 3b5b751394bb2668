"""What ran: the attempts under the exchange root, together with what the engine still has of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from drayage.engine import ContainerState, Engine
from drayage.errors import ExchangeError, NotFoundError
from drayage.exchange.directory import REPLAYS, Attempt, Exchange
from drayage.exchange.record import CONTAINER_FILE, ContainerRecord, VerdictRecord
from drayage.identity import EXCHANGE, RUN, Identity, short_run_id, slug

LAST = "last"


@dataclass(frozen=True)
class PastAttempt:
    """One attempt of a step, as its exchange directory tells it.

    Args:
        attempt: Its exchange directory.
        record: How its container was made; None if none was.
        verdict: What became of it; None if it was not judged.
        created_at_s: When it began, in seconds since the epoch.
    """

    attempt: Attempt
    record: ContainerRecord | None
    verdict: VerdictRecord | None
    created_at_s: float

    @property
    def run_id(self) -> str:
        """The run that it belongs to."""
        return self.attempt.name.split("/")[-3]

    @property
    def step(self) -> str:
        """Its step key, or the name made of it where no container was made."""
        return self.record.identity.step if self.record else self.attempt.path.parent.name

    def asset_names(self) -> set[str]:
        """The assets that it was to make, as ``group/name``."""
        try:
            context = json.loads(self.attempt.context.read_bytes())
        except (FileNotFoundError, ValueError):
            # A container without a context file still has its step key.
            return set()
        return {str(key) for key in context.get("asset_keys") or ()}

    def measure(self, name: str) -> float | None:
        """Return one of the numbers that were recorded with the verdict; None if there is none."""
        return self.verdict.measures.get(name) if self.verdict else None


class History:
    """The attempts of one deployment.

    Args:
        exchange: Where their directories are.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def runs(self) -> list[list[PastAttempt]]:
        """The attempts of every run, latest run first."""
        by_run: dict[str, list[PastAttempt]] = {}
        for io in self._exchange.root.glob("*/*/*/io"):
            attempt = Attempt(io.parent, str(io.parent.relative_to(self._exchange.root)))
            if io.parts[-4] != REPLAYS and not attempt.awaits_context:
                step = read_step(attempt)
                by_run.setdefault(step.run_id, []).append(step)
        runs = [sorted(steps, key=lambda step: step.created_at_s) for steps in by_run.values()]
        return sorted(runs, key=lambda steps: -steps[0].created_at_s)

    def run(self, wanted: str) -> list[PastAttempt]:
        """Find the attempts of one run.

        Args:
            wanted: Its id, the beginning of it, or ``last``.

        Raises:
            NotFoundError: None or several match.
        """
        runs = self.runs()
        if not runs:
            raise NotFoundError(
                f"No step is recorded under {self._exchange.root}. Give the root that the runs use: "
                "--exchange-root, or DRAYAGE_EXCHANGE_ROOT."
            )
        if wanted == LAST:
            return runs[0]
        found = [steps for steps in runs if steps[0].run_id.startswith(wanted)] if wanted else []
        exact = [steps for steps in found if steps[0].run_id == wanted]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            names = ", ".join(steps[0].run_id for steps in found)
            raise NotFoundError(f"{wanted!r} is the beginning of several runs ({names}): give more of it.")
        raise NotFoundError(
            f"No run begins with {wanted!r} under {self._exchange.root}: `drayage runs` lists those that are "
            "recorded. Older ones were swept."
        )

    def step(self, run: str, wanted: str, attempt: str | None = None) -> PastAttempt:
        """Find the latest attempt of one step.

        Args:
            run: As in :meth:`run`.
            wanted: Its step key, or the name of an asset that it makes, such as ``silver/cleaned_trips``.
            attempt: The name of the attempt's directory; None takes the latest.

        Raises:
            NotFoundError: The run has no such step, or the step no such attempt.
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


def read_step(attempt: Attempt) -> PastAttempt:
    """Read what an attempt's directory tells."""
    record = ContainerRecord.read(attempt)
    created_at_s = record.created_at_s if record else attempt.path.stat().st_mtime
    return PastAttempt(attempt, record, VerdictRecord.read(attempt), created_at_s)


def last_record(exchange: Exchange, identity: Identity) -> ContainerRecord | None:
    """How the container of a step was made the last time, in any run; None if none was.

    Args:
        exchange: Where the attempts' directories are.
        identity: The step, in a run that has not come to it yet.

    Raises:
        ExchangeError: The record has another form.
    """
    if (exchange.root / identity.run_id / slug(identity.step)).exists():
        return None
    found = exchange.root.glob(f"*/{slug(identity.step)}/*/{CONTAINER_FILE}")
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        record = ContainerRecord.read(Attempt(path.parent, str(path.parent.relative_to(exchange.root))))
        made_for = record and (record.identity.deployment, record.identity.step, record.identity.call)
        if made_for == (identity.deployment, identity.step, 0):
            return record
    return None


def require_record(step: PastAttempt) -> ContainerRecord:
    """How its container was made.

    Raises:
        ExchangeError: None was made.
    """
    if step.record is None:
        raise ExchangeError(
            f"Step {step.step} of run {short_run_id(step.run_id)} has had no container yet, so that there is nothing "
            "to go by. See its failure in Dagster, or wait until it starts."
        )
    return step.record


def container_of(step: PastAttempt, engine: Engine) -> ContainerState | None:
    """Its container, running or kept; None if it is gone."""
    found = engine.find({RUN: step.run_id, EXCHANGE: step.attempt.name})
    return found[0] if found else None


def status(step: PastAttempt, container: ContainerState | None) -> str:
    """What became of a step, in one word.

    Args:
        step: The step.
        container: Its container; None if it is gone.
    """
    if step.verdict is not None:
        return "succeeded" if step.verdict.green else "failed"
    if container is None:
        return "lost" if step.record else "waiting"
    return "unjudged" if container.ended else container.status


def states(steps: Sequence[PastAttempt], engine: Engine) -> dict[str, ContainerState]:
    """The containers of many steps that the engine still has, by the name of the attempt."""
    wanted = {step.attempt.name for step in steps}
    return {state.labels[EXCHANGE]: state for state in engine.find({EXCHANGE: ""}) if state.labels[EXCHANGE] in wanted}


def _is_called(step: PastAttempt, wanted: str) -> bool:
    return (
        wanted == step.step or slug(wanted) == step.attempt.path.parent.name or wanted.replace("/", "__") == step.step
    )
