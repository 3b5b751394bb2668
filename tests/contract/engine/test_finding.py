"""Finding, measuring and removing containers."""

import time
import uuid
from collections.abc import Callable

import pytest
import shell_scripts as scripts
from engine_bench import Bench
from engine_rigs import IMAGE

from drayage.engine import START, Engine
from drayage.errors import ContainerGoneError


def test_a_container_in_any_state_is_found_by_all_its_labels(bench: Bench) -> None:
    created = bench.create(scripts.exits(0), labels={"kind": "a", "more": "x"}).id
    running = bench.run_until(b"ready", scripts.obeys_signals, labels={"kind": "a", "more": "y"})
    ended = bench.run(scripts.exits(0), labels={"kind": "b", "more": "x"}).id
    bench.end_of(ended)
    bare = bench.create(scripts.exits(0)).id

    def found(**labels: str) -> set[str]:
        return {state.id for state in bench.engine.find({**bench.rig.labels, **labels})}

    assert found() == {created, running, ended, bare}
    assert found(kind="a") == {created, running}
    assert found(kind="a", more="x") == {created}
    assert found(more="x") == {created, ended}
    assert found(kind="") == {created, running, ended}, "an empty value matches any value of a label that is there"
    assert found(kind="", more="y") == {running}
    assert found(kind="c") == set()
    assert found(nothing="") == set()


def test_found_containers_are_described_in_short(bench: Bench) -> None:
    begun_at_s = time.time()
    states = [bench.create(scripts.exits(3), name=f"contract-{uuid.uuid4().hex[:8]}") for _ in range(3)]
    bench.engine.start(states[1].id)
    bench.end_of(states[1].id)
    bench.engine.start(states[2].id)
    bench.end_of(states[2].id)
    found = {it.id: it for it in bench.engine.find(bench.rig.labels)}
    for state, status in zip(states, ["created", "ended", "ended"], strict=True):
        it = found[state.id]
        assert (it.name, it.image, it.status, it.labels) == (state.name, IMAGE, status, state.labels)
        assert begun_at_s - 2 < it.created_at_s < time.time() + 2


def test_a_running_container_is_measured(bench: Bench) -> None:
    container = bench.create(scripts.works, memory_bytes=2**28)
    followed = bench.follow(container.id, from_start=False)
    bench.engine.start(container.id)
    followed.until(b"ready")
    before = bench.engine.usage(container.id)
    bench.rig.signal(container.id, "SIGUSR1")
    followed.until(b"worked")
    after = bench.engine.usage(container.id)
    assert before is not None
    assert after is not None
    assert scripts.HELD_BYTES < before.memory_bytes < 2**28
    # In seconds: a fraction of one, or a few on a busy machine.
    assert 0 < before.cpu_s < after.cpu_s < 60


def test_a_container_that_does_not_run_is_not_measured(bench: Bench) -> None:
    container = bench.create(scripts.exits(0))
    assert bench.engine.usage(container.id) is None
    bench.engine.start(container.id)
    bench.end_of(container.id)
    assert bench.engine.usage(container.id) is None


@pytest.mark.parametrize("status", ["created", "running", "ended"])
def test_a_container_in_any_state_is_removed(bench: Bench, status: str) -> None:
    container = bench.create(scripts.exits(0) if status == "ended" else scripts.obeys_signals)
    if status != "created":
        bench.engine.start(container.id)
    if status == "ended":
        bench.end_of(container.id)
    assert bench.engine.state(container.id).status == status
    bench.engine.remove(container.id)
    assert list(bench.engine.find(bench.rig.labels)) == []
    bench.engine.remove(container.id)


def test_a_removed_container_is_gone(bench: Bench) -> None:
    container_id = bench.create(scripts.exits(0)).id
    bench.engine.remove(container_id)
    for state in (bench.engine.state(container_id), bench.engine.await_end(container_id, 0)):
        assert state is not None
        assert (state.id, state.status, state.ended) == (container_id, "gone", False)


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine, gone: engine.start(gone),
        lambda engine, gone: engine.follow(gone, START),
        lambda engine, gone: engine.follow(gone),
        lambda engine, gone: engine.usage(gone),
    ],
    ids=["start", "follow from start", "follow", "usage"],
)
def test_what_cannot_be_done_without_a_container_says_that_it_is_gone(
    bench: Bench, ask: Callable[[Engine, str], object]
) -> None:
    container = bench.create(scripts.exits(0))
    bench.engine.remove(container.id)
    with pytest.raises(ContainerGoneError):
        ask(bench.engine, container.id)
