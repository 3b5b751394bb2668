"""How a container starts and ends: status, exit code, signals, lack of memory."""

import time

import pytest
import shell_scripts as scripts
from engine_bench import DEADLINE_S, Bench, in_thread

from drayage.errors import EngineError, EntrypointError

MISSING = ["/no-such-program"]


def test_the_status_goes_from_created_to_running_to_ended(bench: Bench) -> None:
    container_id = bench.run_until(b"ready", scripts.obeys_signals)
    running = bench.engine.state(container_id)
    assert (running.status, running.ended, running.finished_at_s) == ("running", False, 0.0)
    assert running.started_at_s > 0
    bench.rig.signal(container_id, "SIGTERM")
    ended = bench.end_of(container_id)
    assert (ended.status, ended.ended) == ("ended", True)
    assert 0 < running.started_at_s == ended.started_at_s <= ended.finished_at_s
    assert (ended.id, ended.name, ended.image_id) == (running.id, running.name, running.image_id)
    assert ended.labels == running.labels


@pytest.mark.parametrize("exit_code", [0, 255])
def test_the_exit_code_is_reported_unchanged(bench: Bench, exit_code: int) -> None:
    ended = bench.end_of(bench.run(scripts.exits(exit_code)).id)
    assert (ended.exit_code, ended.oom_killed, ended.error) == (exit_code, False, "")


def test_waiting_lasts_until_the_end(bench: Bench) -> None:
    container_id = bench.run_until(b"ready", scripts.obeys_signals)
    waiting = [in_thread(lambda: bench.engine.await_end(container_id, DEADLINE_S)) for _ in range(2)]
    # Meanwhile a wait that returned too early would find the container running.
    for _ in range(5):
        assert not bench.engine.state(container_id).ended
    bench.rig.signal(container_id, "SIGTERM")
    ends = [state.result(timeout=DEADLINE_S) for state in waiting]
    assert [end and (end.status, end.exit_code) for end in ends] == [("ended", 3)] * 2


@pytest.mark.parametrize("timeout_s", [0, 0.3])
def test_waiting_has_an_end_of_its_own(bench: Bench, timeout_s: float) -> None:
    container_id = bench.run_until(b"ready", scripts.obeys_signals)
    begun_at = time.monotonic()
    waiting = in_thread(lambda: bench.engine.await_end(container_id, timeout_s))
    # Half of it: the engine's client has a time limit for answers, which is as long as the deadline.
    assert waiting.result(timeout=DEADLINE_S / 2) is None
    assert time.monotonic() - begun_at >= timeout_s


def test_waiting_for_a_container_that_was_not_started_has_an_end_too(bench: Bench) -> None:
    assert bench.engine.await_end(bench.create(scripts.exits(0)).id, 0.3) is None


def test_waiting_ends_when_the_container_is_removed(bench: Bench) -> None:
    container_id = bench.run_until(b"ready", scripts.obeys_signals)
    waiting = in_thread(lambda: bench.engine.await_end(container_id, DEADLINE_S))
    bench.engine.remove(container_id)
    end = waiting.result(timeout=DEADLINE_S)
    assert end is not None
    # It is killed before it is removed.
    assert end.status in {"ended", "gone"}


@pytest.mark.parametrize(("signal", "number"), [("SIGTERM", 15), ("SIGKILL", 9)])
def test_a_signal_that_the_program_does_not_handle_ends_it_with_128_plus_its_number(
    bench: Bench, signal: str, number: int
) -> None:
    container_id = bench.run_until(b"ready", scripts.handles_no_signal)
    bench.engine.stop(container_id, signal, DEADLINE_S)
    ended = bench.end_of(container_id)
    assert (ended.exit_code, ended.oom_killed) == (128 + number, False), "killed, but not for lack of memory"


def test_a_program_that_handles_the_signal_chooses_its_exit_code(bench: Bench) -> None:
    container_id = bench.run_until(b"ready", scripts.obeys_signals)
    bench.engine.stop(container_id, "SIGTERM", DEADLINE_S)
    assert bench.end_of(container_id).exit_code == 3


def test_a_program_that_does_not_end_is_killed_after_the_grace(bench: Bench) -> None:
    """The kernel delivers to process 1 only the signals that it handles."""
    container_id = bench.run_until(b"ready", scripts.handles_no_signal, init=False)
    begun_at = time.monotonic()
    bench.engine.stop(container_id, "SIGTERM", 0.5)
    assert time.monotonic() - begun_at >= 0.5
    assert bench.end_of(container_id).exit_code == 128 + 9


def test_stopping_a_container_that_does_not_run_is_no_error(bench: Bench) -> None:
    created, ended, gone = (bench.create(scripts.exits(0)).id for _ in range(3))
    bench.engine.start(ended)
    bench.end_of(ended)
    bench.engine.remove(gone)
    for container_id in (created, ended, gone):
        bench.engine.stop(container_id, "SIGTERM", 0)
    assert [bench.engine.state(each).status for each in (created, ended, gone)] == ["created", "ended", "gone"]
    assert bench.engine.state(ended).exit_code == 0


def test_an_unknown_signal_is_an_error(bench: Bench) -> None:
    container_id = bench.run_until(b"ready", scripts.obeys_signals)
    with pytest.raises(EngineError):
        bench.engine.stop(container_id, "SIGNOSUCH", 0)
    assert not bench.engine.state(container_id).ended


def test_running_out_of_memory_is_reported_as_far_as_the_engine_knows(bench: Bench) -> None:
    ended = bench.end_of(bench.run(scripts.takes_all_memory, memory_bytes=2**25).id)
    assert (ended.exit_code, ended.memory_limit_bytes) == (128 + 9, 2**25)
    assert ended.oom_killed is bench.rig.knows_out_of_memory(ended.id)


def test_a_missing_command_is_an_entrypoint_error(bench: Bench) -> None:
    created = bench.create(MISSING, init=False)
    with pytest.raises(EntrypointError, match="no-such-program"):
        bench.engine.start(created.id)
    failed = bench.engine.state(created.id)
    assert failed.status != "running"
    assert "no-such-program" in failed.error
    assert (failed.exit_code, failed.started_at_s) == (127, 0.0)
    assert bench.engine.usage(created.id) is None


def test_under_an_init_a_missing_command_ends_with_127(bench: Bench) -> None:
    """The init itself starts, so only its own message names the missing command."""
    container = bench.run(MISSING)
    assert bench.end_of(container.id).exit_code == 127
    assert b"no-such-program" in bench.follow(container.id, from_start=True).whole()["stderr"]
