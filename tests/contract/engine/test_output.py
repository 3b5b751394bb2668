"""A container's output arrives completely, as it is written, and at every follower."""

import pytest
import shell_scripts as scripts
from engine_bench import DEADLINE_S, Bench, in_thread

from drayage.engine import START


def test_every_byte_arrives_on_the_stream_it_was_written_to(bench: Bench) -> None:
    container = bench.create(scripts.prints_every_byte)
    followed = bench.follow(container.id, from_start=False)
    bench.engine.start(container.id)
    assert followed.whole() == {"stdout": bytes(range(256)), "stderr": b"a warning\n"}


def test_much_output_right_before_the_end_is_complete(bench: Bench) -> None:
    container = bench.create(scripts.prints_much)
    followed = bench.follow(container.id, from_start=False)
    bench.engine.start(container.id)
    assert followed.whole() == {"stdout": scripts.long_lines(3000), "stderr": scripts.long_lines(300)}


def test_output_arrives_as_it_is_written_not_line_by_line(bench: Bench) -> None:
    container = bench.create(scripts.prints_half_a_line)
    followed = bench.follow(container.id, from_start=False)
    bench.engine.start(container.id)
    followed.until(b"half")
    bench.rig.signal(container.id, "SIGUSR1")
    assert followed.whole()["stdout"] == b"half a line\n"


def test_a_late_follower_gets_everything_or_only_what_comes_next(bench: Bench) -> None:
    """Each byte arrives exactly once, with any number of followers."""
    container_id = bench.run_until(b"ready", scripts.obeys_signals)
    whole, rest = (bench.follow(container_id, from_start=from_start) for from_start in (True, False))
    whole.until(b"ready")
    bench.rig.signal(container_id, "SIGUSR1")
    for followed in (whole, rest):
        followed.until(b"told\n")
    bench.rig.signal(container_id, "SIGTERM")
    assert whole.whole()["stdout"] == b"ready\ntold\n"
    assert rest.whole()["stdout"] == b"told\n"


def test_the_output_of_an_ended_container_can_be_replayed_repeatedly(bench: Bench) -> None:
    container = bench.run(scripts.prints_much)
    bench.end_of(container.id)
    for _ in range(2):
        followed = bench.follow(container.id, from_start=True)
        assert followed.whole() == {"stdout": scripts.long_lines(3000), "stderr": scripts.long_lines(300)}


@pytest.mark.parametrize("from_start", [False, True])
def test_closing_ends_a_stream_that_another_thread_reads(bench: Bench, *, from_start: bool) -> None:
    """The reading thread must not see an error: this is how following a step that is left running ends."""
    container_id = bench.run_until(b"ready", scripts.obeys_signals)
    output = bench.engine.follow(container_id, START if from_start else None)
    chunks = iter(output)
    bench.rig.signal(container_id, "SIGUSR1")
    next(chunks)
    rest = in_thread(lambda: list(chunks))
    output.close()
    assert b"".join(chunk for _, chunk in rest.result(timeout=DEADLINE_S)) in (b"", b"told\n")
    assert not bench.engine.state(container_id).ended


@pytest.mark.parametrize("from_start", [False, True])
def test_the_output_of_a_removed_container_ends(bench: Bench, *, from_start: bool) -> None:
    container_id = bench.run_until(b"ready", scripts.obeys_signals)
    followed = bench.follow(container_id, from_start=from_start)
    bench.engine.remove(container_id)
    assert followed.whole()["stdout"] in (b"", b"ready\n")


def test_a_replay_opened_just_before_the_end_is_complete(bench: Bench) -> None:
    """The engine itself may end a log that is followed before its last lines."""
    for _ in range(5):
        container = bench.run(scripts.prints_much)
        followed = bench.follow(container.id, from_start=True)
        assert followed.whole() == {"stdout": scripts.long_lines(3000), "stderr": scripts.long_lines(300)}


def test_an_output_goes_on_where_another_was_cut(bench: Bench) -> None:
    container_id = bench.run_until(b"ready", scripts.obeys_signals)
    first = bench.engine.follow(container_id, START)
    read = next(chunk for _, chunk in first if chunk)
    cursor = first.cursor
    first.close()
    bench.rig.signal(container_id, "SIGUSR1")
    bench.rig.signal(container_id, "SIGTERM")
    second = bench.engine.follow(container_id, cursor)
    rest = in_thread(lambda: b"".join(chunk for _, chunk in second)).result(timeout=DEADLINE_S)
    assert read + rest == b"ready\ntold\n"
    assert second.lost is None


def test_a_log_that_is_bounded_says_what_it_may_have_dropped(bench: Bench) -> None:
    """What is read while it comes is whole in any case."""
    container = bench.create(scripts.prints_much, log_bytes=2**16)
    followed = bench.follow(container.id, from_start=False)
    bench.engine.start(container.id)
    assert followed.whole() == {"stdout": scripts.long_lines(3000), "stderr": scripts.long_lines(300)}
    bench.end_of(container.id)
    late = bench.engine.follow(container.id, START)
    read = sum(len(chunk) for _, chunk in late)
    whole = len(scripts.long_lines(3000)) + len(scripts.long_lines(300))
    assert (late.lost is None) == (read == whole)
    assert 2**15 < read <= whole


def test_an_output_has_caught_up_when_it_has_read_what_was_there(bench: Bench) -> None:
    container_id = bench.run_until(b"ready", scripts.obeys_signals)
    assert bench.engine.follow(container_id).caught_up
    output = bench.engine.follow(container_id, START)
    assert not output.caught_up
    chunks = iter(output)
    while not output.caught_up:
        next(chunks)
    output.close()
