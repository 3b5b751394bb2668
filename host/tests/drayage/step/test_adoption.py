"""Which container a step adopts, which it removes, and which it leaves alone."""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from fake_engine import FakeEngine
from fake_process import FakeImage, Process

from drayage import StepSettings
from drayage.dagster_internals import executing
from drayage.engine import ContainerSpec, ContainerState
from drayage.errors import EngineUnavailableError
from drayage.exchange.directory import Attempt, Exchange
from drayage.exchange.owner_lock import OwnerLock, lock_attempt
from drayage.exchange.record import VerdictRecord, record_container
from drayage.identity import EXCHANGE, Identity
from drayage.request import StepRequest
from drayage.step import follower
from drayage.step.adoption import Adopted, find_adoptable
from drayage.step.execution import Execution
from drayage.step.lineage import record_attempt
from drayage.step.standby import StandbyPool
from drayage.step.start import StepHost

FROM_FAILURE = {"dagster/is_resume_retry": "true"}
FROM_ASSET_FAILURE = {"dagster/is_asset_resume_retry": "true"}
ALL_STEPS: dict[str, str] = {}


def waits(_process: Process) -> Generator[None, str, int]:
    while True:
        yield


@dataclass
class Left:
    """What a dead host left: an attempt and its container."""

    attempt: Attempt
    state: ContainerState
    run_id: str

    def lock(self) -> OwnerLock:
        lock = lock_attempt(self.attempt)
        assert lock is not None, "somebody holds the lock"
        return lock

    def judge(self, *, green: bool, at_s: float) -> None:
        VerdictRecord(green=green, judged_at_s=at_s, state=self.state).write(self.attempt)


class World:
    """Runs of one job with one step, which share an engine and an exchange root."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.engine = FakeEngine({"image": FakeImage({"wait": waits}, ["wait"])})
        self.image_id = self.engine.images["image"].id
        self.exchange = Exchange(folder)
        self.instance = instance
        self.adopted: list[Adopted] = []

    def run(self, body: Callable[[StepRequest], Any], *, parent: str | None = None, **tags: Any) -> str:
        """Run the step, which calls a function with its request; return the run's id."""

        @dg.asset(name="report")
        def report(context: dg.AssetExecutionContext) -> None:
            run = context.run
            identity = Identity("d", run.run_id, run.root_run_id or run.run_id, "report", context.retry_number, 0)
            settings = StepSettings(memory=tags.get("memory"))
            body(StepRequest(context=executing(context), identity=identity, image="image", settings=settings))

        job = dg.Definitions(
            assets=[report], jobs=[dg.define_asset_job("work", executor_def=dg.in_process_executor)]
        ).resolve_job_def("work")
        run = self.create_run(job, parent, tags.get("tags"))
        execute_run(InMemoryJob(job), run, self.instance)
        return run.run_id

    def create_run(
        self, job: dg.JobDefinition, parent: str | None = None, tags: dict[str, str] | None = None
    ) -> dg.DagsterRun:
        of_parent = self.instance.get_run_by_id(parent) if parent else None
        root = (of_parent.root_run_id or of_parent.run_id) if of_parent else None
        return self.instance.create_run_for_job(job, parent_run_id=parent, root_run_id=root, tags=tags)

    def leave(self, *, parent: str | None = None, tags: dict[str, str] | None = None) -> Left:
        """Let a host start a container and die, and Dagster mark its run as failed."""
        left: list[Left] = []

        def body(request: StepRequest) -> None:
            attempt = self.exchange.create(request.identity.directory)
            record_attempt(request.context, attempt, call=0)
            left.append(self.start(request, attempt))
            raise RuntimeError("the host died")

        self.run(body, parent=parent, tags=tags)
        return left[0]

    def start(self, request: StepRequest, attempt: Attempt) -> Left:
        labels = {**request.identity.labels(), EXCHANGE: attempt.name}
        state = self.engine.create(ContainerSpec("image", labels=labels))
        fingerprint = request.fingerprint(self.image_id)
        record_container(attempt, request, {}, state, fingerprint=fingerprint, created_at_s=time.time())
        self.engine.start(state.id)
        return Left(attempt, self.engine.state(state.id), request.identity.run_id)

    def find(self, parent: str, tags: dict[str, str] = FROM_FAILURE, **other: Any) -> Adopted | None:
        """Run the step again, and return what it adopts; its host then dies."""
        found: list[Adopted | None] = []

        def body(request: StepRequest) -> None:
            fingerprint = request.fingerprint(self.image_id)
            found.append(
                find_adoptable(
                    request, engine=self.engine, exchange=self.exchange, fingerprint=fingerprint, standby_id=None
                )
            )
            raise RuntimeError("the host died")

        self.run(body, parent=parent, tags=tags, **other)
        (adopted,) = found
        self.adopted += [adopted] if adopted else []
        return adopted

    def is_there(self, left: Left) -> bool:
        return left.state.id in self.engine.containers


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with dg.DagsterInstance.ephemeral() as instance:
        world = World(tmp_path, instance)
        yield world
        for adopted in world.adopted:
            adopted.lock.release()


@pytest.mark.parametrize("tags", [FROM_FAILURE, FROM_ASSET_FAILURE])
def test_a_retry_from_failure_adopts_and_owns_the_container(world: World, tags: dict[str, str]) -> None:
    left = world.leave()
    adopted = world.find(left.run_id, tags)
    assert adopted is not None
    assert (adopted.state.id, adopted.finished) == (left.state.id, False)
    assert lock_attempt(left.attempt) is None, "its host holds the lock"
    # Its host may be killed at any time.
    on_disk = tuple((left.attempt.path / "owners").read_text().split())
    adopted_owners = adopted.lock.owners()
    assert adopted_owners[0] == left.run_id
    assert len(adopted_owners) == 2
    assert on_disk == adopted_owners[1:]
    adopted.lock.release()
    again = left.lock()
    assert again.owners() == adopted_owners
    again.release()


@pytest.mark.parametrize("tags", [ALL_STEPS, {"dagster/step_selection": "report"}])
def test_doing_steps_again_ends_the_old_container(world: World, tags: dict[str, str]) -> None:
    left = world.leave()
    assert world.find(left.run_id, tags) is None
    assert not world.is_there(left)
    verdict = VerdictRecord.read(left.attempt)
    assert verdict is not None
    assert "does not continue it" in verdict.reasons[0]


def test_a_retry_continues_the_run_that_did_all_steps_again(world: World) -> None:
    first = world.leave()
    second = world.leave(parent=first.run_id, tags=ALL_STEPS)
    adopted = world.find(second.run_id)
    assert adopted is not None
    assert adopted.state.id == second.state.id
    assert not world.is_there(first), "its work would meet that of the other"


def test_a_retry_of_a_retry_adopts_what_both_left(world: World) -> None:
    left = world.leave()
    first = world.find(left.run_id)
    assert first is not None
    first.lock.release()
    (retry,) = (run.run_id for run in world.instance.get_runs() if run.parent_run_id)
    second = world.find(retry)
    assert second is not None
    assert second.state.id == left.state.id


@pytest.mark.parametrize("tags", [FROM_FAILURE, ALL_STEPS])
def test_a_container_that_another_process_follows_is_left_alone(world: World, tags: dict[str, str]) -> None:
    left = world.leave()
    lock = left.lock()
    assert world.find(left.run_id, tags) is None
    assert world.is_there(left)
    assert VerdictRecord.read(left.attempt) is None
    lock.release()


@pytest.mark.parametrize("tags", [FROM_FAILURE, ALL_STEPS])
@pytest.mark.parametrize("owner", ["a run that has not ended", "an unknown run"])
def test_a_container_whose_owner_may_come_back_is_left_alone(world: World, tags: dict[str, str], owner: str) -> None:
    left = world.leave()

    @dg.job
    def other() -> None: ...

    lock = left.lock()
    lock.add_owner(world.create_run(other).run_id if owner == "a run that has not ended" else "unknown")
    lock.release()
    assert world.find(left.run_id, tags) is None
    assert world.is_there(left)
    left.lock().release()


def test_the_owner_that_has_not_ended_is_named(world: World) -> None:
    left = world.leave()

    @dg.job
    def other() -> None: ...

    working, ended = world.create_run(other).run_id, world.create_run(other)
    world.instance.report_run_failed(ended)
    lock = left.lock()
    lock.add_owner(working)
    lock.add_owner(ended.run_id)
    lock.release()
    assert world.find(left.run_id) is None
    (retry,) = world.instance.get_runs(dg.RunsFilter(tags=FROM_FAILURE))
    said = [entry.user_message for entry in world.instance.all_logs(retry.run_id)]
    assert f"the container of {left.attempt.name} is left alone: run {working} has not ended" in said


def test_an_owner_is_not_glued_to_half_a_line(world: World) -> None:
    attempt = world.exchange.create("run/report/0")
    (attempt.path / "owners").write_bytes(b"first\nsec")
    lock = lock_attempt(attempt)
    assert lock is not None
    lock.add_owner("third")
    lock.add_owner("fourth")
    assert lock.owners() == ("run", "first", "sec", "third", "fourth")
    lock.release()


@pytest.mark.parametrize("has_ended", [False, True])
@pytest.mark.parametrize("has_directory", [False, True])
def test_a_sibling_keeps_its_container_while_its_run_goes_on(
    world: World, *, has_ended: bool, has_directory: bool
) -> None:
    """A container without a directory may be the one that holds its secrets."""
    left = world.leave()

    @dg.job
    def other() -> None: ...

    sibling = world.create_run(other, parent=left.run_id)
    if has_ended:
        world.instance.report_run_failed(sibling)
    identity = Identity("d", sibling.run_id, left.run_id, "report", 0, 0)
    attempt = world.exchange.create(identity.directory)
    labels = {**identity.labels(), **({EXCHANGE: attempt.name} if has_directory else {})}
    container = world.engine.create(ContainerSpec("image", labels=labels))
    assert world.find(left.run_id) is not None
    assert (container.id in world.engine.containers) == (not has_ended)


def test_a_container_that_cannot_be_followed_now_is_left_for_another_retry(world: World) -> None:
    """An engine that fails for a moment must not cost the work of hours."""
    left = world.leave()
    host = StepHost(world.engine, world.exchange, StandbyPool(world.engine, world.exchange), "drayage")
    world.engine.refusals["follow"] = EngineUnavailableError("The engine does not answer.")

    def body(request: StepRequest) -> None:
        list(Execution(request, host).results(streaming=False))

    retry = world.run(body, parent=left.run_id, tags=FROM_FAILURE)
    for thread in threading.enumerate():
        if thread.name == "drayage-removal":
            thread.join()
    lock = left.lock()
    assert len(lock.owners()) == 2, "the retry adopted it"
    lock.release()
    assert world.is_there(left)
    adopted = world.find(retry)
    assert adopted is not None
    assert adopted.state.id == left.state.id


def test_an_engine_that_goes_away_at_the_end_judges_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container's work may be whole: a retry adopts it, where a verdict would make it do all of it again."""
    monkeypatch.setattr(follower, "_ENGINE_DEADLINE_S", 0.0)
    host = StepHost(world.engine, world.exchange, StandbyPool(world.engine, world.exchange), "drayage")
    world.engine.refusals["await_end"] = EngineUnavailableError("The engine does not answer.")
    first = world.run(lambda request: list(Execution(request, host).results(streaming=False)))
    assert any("does not answer" in str(entry) for entry in world.instance.all_logs(first))
    del world.engine.refusals["await_end"]
    (container,) = world.engine.containers
    adopted = world.find(first)
    assert adopted is not None
    assert adopted.state.id == container


@pytest.mark.parametrize("is_its_own", [True, False])
def test_only_the_container_on_standby_for_this_very_step_is_left_alone(world: World, *, is_its_own: bool) -> None:
    """The step is about to take it; another that nobody follows would work beside the step's own."""
    there: list[bool] = []

    def body(request: StepRequest) -> None:
        attempt = world.exchange.create(request.identity.directory)
        os.mkfifo(attempt.context)
        standing = world.start(request, attempt)
        adopted = find_adoptable(
            request,
            engine=world.engine,
            exchange=world.exchange,
            fingerprint=request.fingerprint(world.image_id),
            standby_id=standing.state.id if is_its_own else "another",
        )
        assert adopted is None
        there.append(world.is_there(standing))

    world.run(body)
    assert there == [is_its_own]


def test_an_ended_container_without_a_directory_is_left_to_the_sweeper(world: World) -> None:
    """It does no work any more, and may be kept for inspection."""
    left = world.leave()
    labels = {name: value for name, value in left.state.labels.items() if name != EXCHANGE}
    bare = world.engine.create(ContainerSpec("image", labels=labels))
    world.engine.start(bare.id)
    world.engine.stop(bare.id, "SIGKILL", 0)
    assert world.find(left.run_id) is not None
    assert bare.id in world.engine.containers


def test_a_container_of_another_request_is_removed(world: World) -> None:
    left = world.leave()
    assert world.find(left.run_id, memory=2**30) is None
    assert not world.is_there(left)


def test_a_container_that_was_never_started_is_removed(world: World) -> None:
    left = world.leave()
    world.engine.remove(left.state.id)
    created = world.engine.create(ContainerSpec("image", labels=left.state.labels))
    assert world.find(left.run_id) is None
    assert created.id not in world.engine.containers


def test_a_container_whose_host_was_killed_before_it_recorded_the_launch_is_removed(world: World) -> None:
    """The engine creates it while the host records its launch, and it was not started yet."""

    def body(request: StepRequest) -> None:
        attempt = world.exchange.create(request.identity.directory)
        world.engine.create(ContainerSpec("image", labels={**request.identity.labels(), EXCHANGE: attempt.name}))
        raise RuntimeError("the host died")

    killed = world.run(body)
    assert len(world.engine.containers) == 1
    assert world.find(killed) is None
    assert world.engine.containers == {}


def test_finished_work_of_another_request_is_done_again(world: World) -> None:
    left = world.leave()
    left.judge(green=True, at_s=time.time())
    world.engine.remove(left.state.id)
    assert world.find(left.run_id, memory=2**30) is None


def test_a_container_that_still_waits_for_its_context_is_removed(world: World) -> None:
    """It was on standby: whoever adopted it would wait for ever."""
    left = world.leave()
    os.mkfifo(left.attempt.context)
    assert world.find(left.run_id) is None
    assert not world.is_there(left)


def test_a_container_that_has_failed_since_is_removed(world: World) -> None:
    left = world.leave()
    world.engine.stop(left.state.id, "SIGKILL", 0)
    assert world.find(left.run_id) is None
    assert not world.is_there(left)


def test_a_container_that_was_judged_red_is_kept_for_inspection(world: World) -> None:
    left = world.leave()
    left.judge(green=False, at_s=time.time())
    for tags in (FROM_FAILURE, ALL_STEPS):
        assert world.find(left.run_id, tags) is None
    assert world.is_there(left)


def test_finished_work_is_adopted_from_its_record(world: World) -> None:
    left = world.leave()
    left.judge(green=True, at_s=time.time())
    world.engine.remove(left.state.id)
    adopted = world.find(left.run_id)
    assert adopted is not None
    assert adopted.finished
    adopted.lock.release()
    assert world.find(left.run_id, ALL_STEPS) is None


def test_finished_work_on_which_the_assets_own_code_failed_is_done_again(world: World) -> None:
    left = world.leave()
    left.judge(green=True, at_s=time.time() - 60)
    world.engine.remove(left.state.id)
    assert world.find(left.run_id) is None


def test_every_owner_is_remembered_also_after_half_of_a_line(world: World) -> None:
    """A host that was killed while it wrote must not make the attempt unusable, or hide an owner."""
    attempt = world.exchange.create("first/report/0")
    for owner in ("second", "third"):
        lock = lock_attempt(attempt)
        assert lock is not None
        lock.add_owner(owner)
        assert lock.owners()[-1] == owner
        lock.release()
    with (attempt.path / "owners").open("ab") as file:
        file.write("é".encode()[:1])
    lock = lock_attempt(attempt)
    assert lock is not None
    assert lock.owners() == ("first", "second", "third", "\N{REPLACEMENT CHARACTER}")
    lock.release()


def test_a_lock_whose_attempt_was_swept_is_no_lock(world: World) -> None:
    attempt = world.exchange.create("run/report/0")
    attempt.io.rename(attempt.path.parent / "moved")
    for file in attempt.path.iterdir():
        file.unlink()
    attempt.path.rmdir()
    assert lock_attempt(attempt) is None


def test_a_lock_whose_attempt_is_swept_while_it_is_taken_is_no_lock(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = world.exchange.create("run/report/0")
    flock = fcntl.flock

    def sweep_first(descriptor: int, operation: int) -> None:
        (attempt.path / "owners").unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    assert lock_attempt(attempt) is None


def test_a_link_in_place_of_the_owners_file_is_refused(world: World, tmp_path: Path) -> None:
    attempt = world.exchange.create("run/report/0")
    (attempt.path / "owners").symlink_to(tmp_path / "victim")
    with pytest.raises(Exception, match="decides between hosts"):
        lock_attempt(attempt)
    assert not (tmp_path / "victim").exists()
