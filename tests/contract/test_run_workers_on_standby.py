"""Run workers on standby: each run goes to one, none goes to one that is too old, and what dies is noticed."""

import json
import logging
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import docker
import pytest
from contract_steps import wait_until
from dagster._core.launcher import WorkerStatus
from standby_bench import HOST_IMAGE, MEMORY_BYTES, Bench, open_bench

from drayage.docker.run_workers import RunWorkers
from drayage.identity import STANDBY
from drayage.launcher import words
from drayage.launcher.pool import LOGGER

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def opened(docker_engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    name = f"standby-{uuid.uuid4().hex[:8]}"
    with open_bench(name, tmp_path_factory.mktemp(name), docker_engine) as bench:
        yield bench


@pytest.fixture
def bench(opened: Bench) -> Iterator[Bench]:
    yield opened
    opened.remove_workers()


def test_a_run_goes_to_the_run_worker_on_standby_and_the_next_one_to_another(bench: Bench) -> None:
    (worker,) = bench.make_ready()
    first = bench.launch("short")
    second = bench.launch("short")
    for run_id in (first, second):
        bench.wait_for(run_id)
        assert bench.word_of(run_id).startswith("first")
    container = bench.container(first)
    assert container.id == worker.found.id
    assert container.name == f"{bench.name}-run-{first[:8]}"
    assert "was on standby" in bench.messages(first)
    assert not bench.stood_by(second)
    assert "Launching a run worker: no run worker on standby" in bench.messages(second)
    wait_until(lambda: bench.container(first).status == "exited", what="the end of the run worker")


def test_a_run_has_the_same_surroundings_as_in_a_run_worker_of_its_own(bench: Bench) -> None:
    bench.make_ready()
    runs = [bench.launch("surroundings") for _ in range(2)]
    for run_id in runs:
        bench.wait_for(run_id)
    assert [bench.stood_by(run_id) for run_id in runs] == [True, False]
    stood_by, ordinary = (json.loads(bench.word_of(run_id)) for run_id in runs)
    assert stood_by == ordinary


def test_of_twenty_that_claim_three_run_workers_at_once_three_get_one_each(bench: Bench) -> None:
    workers = bench.make_ready(3)
    runs = [bench.create_run("short") for _ in range(20)]
    (blueprint,) = bench.blueprints()()
    with ThreadPoolExecutor(20) as threads:
        taken = [it for it, _ in threads.map(lambda run_id: bench.pool().hand_over(blueprint, run_id), runs)]
    winners = {run_id: it for run_id, it in zip(runs, taken, strict=True) if it is not None}
    assert sorted(winners.values()) == sorted(it.found.id for it in workers)
    for run_id, container_id in winners.items():
        wait_until(lambda run_id=run_id: bench.word_of(run_id), what="the run's word")  # type: ignore[misc]
        assert bench.container(run_id).id == container_id
    assert {run_id for run_id in runs if bench.word_of(run_id)} == winners.keys()


def test_a_run_whose_launcher_died_while_handing_it_over_is_executed_by_the_one_that_has_it(bench: Bench) -> None:
    (worker,) = bench.make_ready()
    run_id = bench.create_run("short")
    engine = RunWorkers()
    asked = engine.ask(worker.found.id, words.order(run_id, worker.found.id), timeout_s=5)
    next(asked)
    # It hears no answer.
    asked.close()  # type: ignore[attr-defined]
    bench.wait_for(run_id)
    assert bench.container(run_id).id == worker.found.id
    # It has a run's name as soon as somebody looks, and its place is free.
    bench.keeper().tend()
    assert bench.container(run_id).name == f"{bench.name}-run-{run_id[:8]}"


def test_a_launcher_that_died_before_it_ordered_anything_disturbs_nobody(bench: Bench) -> None:
    (worker,) = bench.make_ready()
    for unfinished in (b"", b"run 1234"):
        asked = RunWorkers().ask(worker.found.id, unfinished, timeout_s=5)
        next(asked)
        asked.close()  # type: ignore[attr-defined]
    run_id = bench.launch("short")
    bench.wait_for(run_id)
    assert bench.word_of(run_id)


def test_a_run_does_not_wait_for_a_run_worker_that_still_loads(bench: Bench) -> None:
    bench.keeper().tend()
    (worker,) = bench.pool().workers()
    run_id = bench.launch("short")
    assert "Launching a run worker: the run worker on standby is still loading" in bench.messages(run_id)
    bench.wait_for(run_id)
    assert [it.found.id for it in bench.make_ready()] == [worker.found.id]


def test_a_run_worker_that_hangs_is_removed_and_the_run_is_launched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drayage.launcher.pool._ANSWER_S", 2.0)
    (worker,) = bench.make_ready()
    bench.engine.api.pause(worker.found.id)
    run_id = bench.launch("short")
    bench.wait_for(run_id)
    assert not bench.stood_by(run_id)
    assert bench.pool().workers() == []


def test_a_run_worker_that_dies_while_it_waits_is_noticed_and_replaced(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    (worker,) = bench.make_ready()
    now_s = [time.time()]
    keeper = bench.keeper(clock=lambda: now_s[0])
    keeper.tend()
    bench.engine.api.kill(worker.found.id)
    wait_until(lambda: bench.pool().workers()[0].condition == "ended", what="its end")
    with caplog.at_level(logging.WARNING, LOGGER):
        keeper.tend()
    assert f"Run worker {worker.found.short_id} on standby ended without a run" in caplog.text
    assert bench.pool().workers() == [], "it is not replaced at once: the next one might die as well"
    now_s[0] += 6
    keeper.tend()
    assert [it.condition for it in bench.pool().workers()] == ["loading"]


def test_a_run_worker_that_the_engine_removed_while_it_waited_is_noticed(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """As with `auto_remove`."""
    (worker,) = bench.make_ready()
    keeper = bench.keeper()
    keeper.tend()
    bench.engine.api.remove_container(worker.found.id, force=True)
    with caplog.at_level(logging.WARNING, LOGGER):
        keeper.tend()
    assert f"Run worker {worker.found.short_id} on standby ended without a run" in caplog.text


def test_a_run_worker_is_renewed_when_its_image_changes(bench: Bench) -> None:
    (old,) = bench.make_ready()
    base = bench.engine.containers.create(HOST_IMAGE)
    try:
        base.commit(bench.image.partition(":")[0], "latest", conf={"Labels": {"changed": uuid.uuid4().hex}})
    finally:
        base.remove()
    run_id = bench.launch("short")
    assert not bench.stood_by(run_id)
    bench.wait_for(run_id)
    (new,) = bench.make_ready()
    assert new.key != old.key
    # Nothing is left of the old one.
    assert [it.id for it in RunWorkers().find({STANDBY: old.key})] == []


def test_a_run_worker_is_renewed_when_the_environment_changes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.make_ready()
    monkeypatch.setenv("STANDBY_TEST", "changed")
    run_id = bench.launch("short")
    assert not bench.stood_by(run_id)
    bench.make_ready()
    run_id = bench.launch("short")
    bench.wait_for(run_id)
    assert bench.stood_by(run_id)
    assert bench.word_of(run_id) == "first changed"


def test_a_run_worker_is_renewed_when_the_definitions_are_loaded_again(bench: Bench) -> None:
    """The same image, as where sources are mounted: a run is never executed by code from before it was planned."""
    bench.make_ready()
    bench.reload("second")
    try:
        run_id = bench.launch("short")
        bench.wait_for(run_id)
        assert not bench.stood_by(run_id)
        assert bench.word_of(run_id).startswith("second")
        bench.make_ready()
        run_id = bench.launch("short")
        bench.wait_for(run_id)
        assert bench.stood_by(run_id)
        assert bench.word_of(run_id).startswith("second")
    finally:
        bench.reload("first")


def test_definitions_are_those_of_the_code_server_and_not_of_their_source_as_it_is_now(bench: Bench) -> None:
    bench.write_state("two")
    try:
        bench.make_ready()
        run_id = bench.launch("assets")
        bench.wait_for(run_id)
        assert bench.stood_by(run_id)
        assert bench.word_of(run_id) == "one"
    finally:
        bench.write_state("one")


def test_a_run_on_a_run_worker_that_stood_by_is_terminated(bench: Bench) -> None:
    bench.make_ready()
    run_id = bench.launch("long")
    wait_until(lambda: bench.word_of(run_id) == "waits", what="the step")
    assert bench.launcher.check_run_worker_health(bench.run(run_id)).status == WorkerStatus.RUNNING
    assert bench.launcher.terminate(run_id)
    bench.wait_for(run_id, "CANCELED")
    assert bench.stood_by(run_id)
    assert bench.word_of(run_id) == "was interrupted"


def test_a_run_worker_that_stood_by_is_missed_when_it_is_killed_in_its_run(bench: Bench) -> None:
    """The run monitor asks the launcher, and marks the run as failed, so that it is retried."""
    bench.make_ready()
    run_id = bench.launch("long")
    wait_until(lambda: bench.word_of(run_id) == "waits", what="the step")
    bench.container(run_id).kill("SIGKILL")
    bench.container(run_id).wait()
    assert bench.stood_by(run_id)
    assert bench.launcher.check_run_worker_health(bench.run(run_id)).status == WorkerStatus.FAILED


def test_the_memory_limit_holds_for_a_run_worker_that_stood_by(bench: Bench) -> None:
    bench.make_ready()
    run_id = bench.launch("hungry")
    container = bench.container(run_id)
    assert bench.stood_by(run_id)
    assert container.attrs["HostConfig"]["Memory"] == MEMORY_BYTES
    assert container.wait(timeout=60)["StatusCode"] == 137


def test_a_run_worker_that_waits_ends_at_once_when_it_is_stopped(bench: Bench) -> None:
    (worker,) = bench.make_ready()
    container = bench.engine.containers.get(worker.found.id)
    began_s = time.monotonic()
    container.stop(timeout=60)
    assert time.monotonic() - began_s < 30
    assert container.wait()["StatusCode"] == 143


def test_a_run_worker_is_made_after_the_run_has_begun_its_steps(bench: Bench) -> None:
    bench.make_ready()
    keeper = bench.keeper()
    run_id = bench.launch("long")
    while not bench.word_of(run_id):
        assert not keeper.tend()
        assert bench.pool().workers() == []
    wait_until(lambda: keeper.tend() or bench.pool().workers(), what="the next one")


def test_the_daemon_keeps_one_ready_and_launches_what_is_queued(bench: Bench) -> None:
    with bench.daemon():
        wait_until(lambda: [it.condition for it in bench.pool().workers()] == ["ready"], what="a run worker")
        run_id = bench.create_run("short")
        bench.instance.submit_run(run_id, bench.context.create_request_context())
        bench.wait_for(run_id)
        assert bench.stood_by(run_id)
        wait_until(lambda: bench.pool().workers(), what="the next one")


def test_another_process_goes_on_with_the_run_workers_that_are_there(bench: Bench) -> None:
    (worker,) = bench.make_ready()
    assert bench.keeper().tend()
    assert [it.found.id for it in bench.pool().workers()] == [worker.found.id]
