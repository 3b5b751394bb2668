"""Sweeps an engine: stops orphaned containers, and removes those that are past their time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from drayage.engine import Engine, Found
from drayage.errors import ExchangeError
from drayage.exchange.directory import Attempt, Exchange
from drayage.exchange.owner_lock import ownership
from drayage.exchange.record import VerdictRecord
from drayage.identity import DEPLOYMENT, EXCHANGE, FORWARD, INSTANCE, KEEP, KEEP_S, RUN, STANDBY, STANDBY_S
from drayage.sweeper.limits import SweepReport
from drayage.sweeper.runs import Runs

# The label that dagster-docker's run launcher puts on its run workers.
_RUN_WORKER_LABEL = "dagster/run_id"
# How long after its last possible moment a run worker on standby is left alone.
_STANDBY_GRACE_S = 3600.0


@dataclass(frozen=True)
class EngineSweep:
    """Sweeps the containers and run workers of one deployment.

    Args:
        engine: The engine.
        exchange: The root of the exchange directories.
        deployment: Name of the deployment.
        runs: Dagster's runs.
        now_s: The current time, in seconds since the epoch.
        lost_age_s: Age beyond which a container is stopped whose run Dagster does not know any more, in seconds.
        report: Gets what was removed, and what could not be.
    """

    engine: Engine
    exchange: Exchange
    deployment: str
    runs: Runs
    now_s: float
    lost_age_s: float
    report: SweepReport

    def sweep(self) -> Sequence[Found]:
        """Stop and remove what is due.

        Returns:
            The containers that remain, those of other deployments included.

        Raises:
            EngineError: The engine does not answer. What it only refuses to remove is in the report.
        """
        found = self.engine.find({DEPLOYMENT: ""})
        # Run workers may carry the deployment's label too, but only containers of steps carry the label of a run.
        steps = [it for it in found if it.labels[DEPLOYMENT] == self.deployment and it.labels.get(RUN)]
        self.runs.load(step.labels[RUN] for step in steps)
        for step in steps:
            self.report.attempt(lambda step=step: self._sweep_step(step), step.short_id)  # type: ignore[misc]
        self._sweep_run_workers()
        self._sweep_standby([it for it in found if STANDBY in it.labels])
        removed = {*self.report.removed, *self.report.run_workers}
        return [it for it in found if it.id not in removed]

    def remove_deployment(self, found: Sequence[Found], name: str) -> None:
        """Remove all containers of another deployment, whose process is known to have ended.

        Args:
            found: Containers of any deployment.
            name: Name of that deployment.

        Raises:
            EngineError: The engine refuses to remove one.
        """
        for container in found:
            if container.labels[DEPLOYMENT] == name:
                self._remove(container)

    def _sweep_step(self, step: Found) -> None:
        run_id, origin = step.labels[RUN], step.labels.get(INSTANCE, "")
        if not self.runs.is_ours(run_id, origin):
            return
        attempt = self.exchange.open(step.labels[EXCHANGE]) if step.labels.get(EXCHANGE) else None
        if not self._is_due(step, attempt):
            return
        with ownership(attempt) as is_owner:
            # A retry may have adopted it since Dagster was asked.
            self.runs.forget(run_id)
            if not is_owner or not self._is_due(step, attempt):
                return
            if step.status == "running":
                self.engine.stop(step.id, "SIGKILL", 0)
                self.report.stopped.append(step.id)
            else:
                self._remove(step)

    def _is_due(self, step: Found, attempt: Attempt | None) -> bool:
        over = self._is_over(step, step.labels[RUN], step.labels.get(INSTANCE, ""))
        stands_by = attempt is not None and attempt.awaits_context
        if step.status == "running":
            # A replay outlives its run on purpose.
            return over and (stands_by or step.labels.get(FORWARD) != "false")
        return self._is_past_its_time(step, attempt, over=over, never_worked=stands_by or step.status == "created")

    def _is_over(self, step: Found, run_id: str, origin: str) -> bool:
        if self.runs.is_over(run_id, origin):
            return True
        # Its run was deleted in Dagster, so that nothing will ever tell when it is over.
        lost = not self.runs.is_known(run_id) and origin == self.runs.instance_id
        return lost and self.now_s - step.created_at_s > self.lost_age_s

    def _is_past_its_time(self, step: Found, attempt: Attempt | None, *, over: bool, never_worked: bool) -> bool:
        verdict = VerdictRecord.read(attempt) if attempt else None
        if never_worked or (verdict is None and not over):
            return over
        if verdict is not None and verdict.green and step.labels.get(KEEP) != "always":
            return over
        return self.now_s - self.engine.state(step.id).finished_at_s > _keep_s(step)

    def _remove(self, container: Found) -> None:
        self.engine.remove(container.id)
        self.report.removed.append(container.id)

    def _sweep_run_workers(self) -> None:
        workers = [
            it
            for it in self.engine.find({_RUN_WORKER_LABEL: ""})
            if it.status == "ended" and it.labels.get(DEPLOYMENT, self.deployment) == self.deployment
        ]
        self.runs.load(worker.labels[_RUN_WORKER_LABEL] for worker in workers)
        for worker in workers:
            # The instance does not know another deployment's runs, so their workers are left alone.
            if self.runs.has_finished(worker.labels[_RUN_WORKER_LABEL]):
                self.report.attempt(lambda worker=worker: self._remove_worker(worker), worker.short_id)  # type: ignore[misc]

    def _sweep_standby(self, found: Sequence[Found]) -> None:
        """Remove run workers that were made before their run was known: the run says which of them it had."""
        workers = [it for it in found if it.labels.get(INSTANCE) == self.runs.instance_id]
        runs_of = self.runs.in_containers([worker.id for worker in workers])
        for worker in workers:
            had = runs_of.get(worker.id, ())
            is_forgotten = not had and self.now_s - worker.created_at_s > STANDBY_S + _STANDBY_GRACE_S
            if is_forgotten or (worker.status == "ended" and all(self.runs.has_finished(run_id) for run_id in had)):
                self.report.attempt(lambda worker=worker: self._remove_worker(worker), worker.short_id)  # type: ignore[misc]

    def _remove_worker(self, worker: Found) -> None:
        self.engine.remove(worker.id)
        self.report.run_workers.append(worker.id)


def _keep_s(step: Found) -> float:
    """Return how long a container is kept after its end, in seconds; infinite if for ever."""
    label = step.labels.get(KEEP_S, "0")
    try:
        keep_s = float(label)
    except ValueError:
        keep_s = math.nan
    if not keep_s >= 0:
        raise ExchangeError(
            f"the label {KEEP_S} says how long the container is kept: expected seconds, 0 or more, got {label!r}. "
            "Something else than drayage wrote it: remove the container by hand."
        )
    return keep_s
