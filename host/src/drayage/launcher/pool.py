"""The run workers on standby of one Dagster instance: made, handed over, dismissed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from drayage.docker.run_workers import RunWorkers, WaitingSpec
from drayage.engine import Found
from drayage.errors import EngineError
from drayage.identity import DEPLOYMENT, IMAGE, INSTANCE, STANDBY, short_run_id
from drayage.launcher import words
from drayage.launcher.blueprint import Blueprint

MODULE = "drayage.launcher.worker"
LOGGER = "dagster.daemon.drayage.standby"
"""Below Dagster's own, which its daemons give a handler and a format."""
_ANSWER_S = 10.0
_LOADING_S = 30.0
_WAITING = "standby"

Condition = Literal["loading", "ready", "taken", "ended"]


@dataclass(frozen=True)
class Worker:
    """A run worker on standby, as it is now.

    Args:
        found: Its container.
        condition: It loads what it needs; it is ready; it has a run, or had one; it has ended without a run.
    """

    found: Found
    condition: Condition

    @property
    def key(self) -> str:
        """The key of the blueprint that it was made from."""
        return self.found.labels[STANDBY]


class Pool:
    """The run workers on standby of one Dagster instance.

    Any number of processes may use it at once: a name belongs to one container, and a run worker obeys one order.

    Args:
        engine: The engine that they are on.
        deployment: Name of the deployment.
        instance_id: Id of the Dagster instance.
    """

    def __init__(self, engine: RunWorkers, *, deployment: str, instance_id: str) -> None:
        self._engine = engine
        self._deployment = deployment
        self._instance_id = instance_id

    def image_id(self, image: str) -> str:
        """Return the id that an image's name stands for.

        Raises:
            EngineError: The engine has no such image, or does not answer.
        """
        return self._engine.image_id(image)

    def workers(self, key: str = "") -> list[Worker]:
        """Return the run workers that have no run, as far as their names tell, oldest first.

        Args:
            key: Only those that were made from this blueprint.

        Raises:
            EngineError: The engine does not answer, or keeps no output.
        """
        found = self._engine.find({STANDBY: key, INSTANCE: self._instance_id})
        waiting = [it for it in found if it.name.startswith(f"{self._deployment}-{_WAITING}-")]
        return [Worker(it, self._condition(it)) for it in sorted(waiting, key=lambda it: it.created_at_s)]

    def make(self, blueprint: Blueprint, places: int) -> str | None:
        """Make a run worker that loads what a blueprint says.

        Args:
            blueprint: What it is made from.
            places: How many there may be.

        Returns:
            Its id; None if every place is taken, by another process perhaps.

        Raises:
            SettingsError: The engine cannot make it with the launcher's settings.
            EngineError: It could not be made, or ended at once.
        """
        for place in range(places):
            spec = WaitingSpec(
                name=self._place(blueprint.key, place),
                image=blueprint.image_id,
                # With -P no module of the working directory stands in for one of Python's.
                command=[blueprint.python, "-P", "-m", MODULE],
                labels={
                    DEPLOYMENT: self._deployment,
                    **blueprint.labels,
                    IMAGE: blueprint.image,
                    INSTANCE: self._instance_id,
                    STANDBY: blueprint.key,
                },
                environment=blueprint.environment,
                networks=blueprint.networks,
                options=blueprint.options,
            )
            container_id = self._engine.start(spec)
            if container_id is None:
                continue
            if words.LOADING not in self._hear(
                container_id, blueprint.brief, until=words.LOADING, timeout_s=_LOADING_S
            ):
                said = self._engine.last_words(container_id)
                self._engine.remove(container_id)
                raise EngineError(
                    f"Run worker {spec.name} of image {blueprint.image} did not begin to load: expected it to say so "
                    f"within {_LOADING_S:.0f} s, got {said or 'nothing, or its output is gone with it'}. The image "
                    "needs drayage with its module drayage.launcher."
                )
            return container_id
        return None

    def hand_over(self, blueprint: Blueprint, run_id: str) -> tuple[str | None, str]:
        """Give a run to a run worker that is ready and was made from a blueprint.

        Args:
            blueprint: What it must have been made from.
            run_id: Id of the run.

        Returns:
            The id of the container that has the run now, or None; and why.

        Raises:
            EngineError: The engine does not answer. A run worker that might still have taken the run is gone.
        """
        workers = self.workers(blueprint.key)
        for worker in workers:
            if worker.condition != "ready":
                continue
            container_id = worker.found.id
            said = self._hear_or_remove(container_id, words.order(run_id, container_id), until=words.takes(run_id))
            if words.takes(run_id) in said:
                self._rename(container_id, run_id)
                return container_id, "it was ready"
        return None, _why_none(workers)

    def dismiss(self, worker: Worker) -> bool:
        """Tell a run worker to end, unless somebody gives it a run first.

        Returns:
            Whether it has no run.

        Raises:
            EngineError: The engine does not answer.
        """
        said = self._hear_or_remove(worker.found.id, words.DISMISS, until=words.DISMISSED)
        if any(each.startswith(words.takes("")) for each in said):
            return False
        self._engine.remove(worker.found.id)
        return True

    def remove(self, worker: Worker) -> str:
        """Remove a run worker that has no run and can have none, and return its last words."""
        said = self._engine.last_words(worker.found.id)
        self._engine.remove(worker.found.id)
        return said

    def name_after_run(self, worker: Worker) -> None:
        """Give a run worker the name of its run, where whoever gave it the run has not."""
        taken = [each for each in self._words(worker.found.id) if each.startswith(words.takes(""))]
        self._rename(worker.found.id, taken[-1].removeprefix(words.takes("")) if taken else worker.found.short_id)

    def _place(self, key: str, number: int) -> str:
        """Return a name that one run worker of this instance can have at a time."""
        digest = hashlib.sha256(f"{self._instance_id} {key}".encode()).hexdigest()[:8]
        return f"{self._deployment}-{_WAITING}-{digest}-{number}"

    def _rename(self, container_id: str, run_id: str) -> None:
        self._engine.rename(container_id, f"{self._deployment}-run-{short_run_id(run_id)}")

    def _condition(self, found: Found) -> Condition:
        said = self._words(found.id)
        if any(each.startswith(words.takes("")) for each in said):
            return "taken"
        if found.status == "ended":
            return "ended"
        return "ready" if words.READY in said and not any(words.is_decided(each) for each in said) else "loading"

    def _words(self, container_id: str) -> list[str]:
        return words.heard(self._engine.said(container_id))

    def _hear_or_remove(self, container_id: str, line: bytes, *, until: str) -> Sequence[str]:
        """Ask a run worker that was ready; one that does not answer is removed, so that it never obeys later."""
        try:
            said = self._hear(container_id, line, until=until, timeout_s=_ANSWER_S)
        except EngineError:
            said = []
        if not any(words.is_decided(each) for each in said):
            # The connection may have been cut after the answer.
            said = self._words(container_id)
        if not any(words.is_decided(each) for each in said):
            self._engine.remove(container_id)
        return said

    def _hear(self, container_id: str, line: bytes, *, until: str, timeout_s: float) -> Sequence[str]:
        said: list[str] = []
        for each in self._engine.ask(container_id, line, timeout_s=timeout_s):
            said += words.heard([each])
            if until in said or any(words.is_decided(it) for it in said):
                break
        return said


def _why_none(workers: Sequence[Worker]) -> str:
    conditions: Mapping[Condition, int] = {it.condition: 0 for it in workers}
    if "loading" in conditions:
        return "the run worker on standby is still loading"
    if conditions:
        return "the run workers on standby have runs already"
    return "no run worker on standby has this run's image, definitions and environment"
