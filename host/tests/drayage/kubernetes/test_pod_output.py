"""A pod's log is read once and whole, through cuts, from any position."""

import threading
from collections.abc import Iterator, Mapping
from typing import cast

import pytest
from fake_cluster import FakeCluster
from recorded_pods import ended, running

from drayage.engine import START
from drayage.errors import ContainerGoneError, EngineError, EngineUnavailableError
from drayage.kubernetes.api import Cluster, RefusedError
from drayage.kubernetes.output import PodOutput, end_of_log
from drayage.kubernetes.watch import PodWatch


def stamp(number: int) -> bytes:
    """Return a time stamp, nine digits of a second."""
    return b"2026-11-29T20:00:%02d.%09dZ" % (number // 10, number % 10)


def lines(*numbers: int) -> bytes:
    """Return a log, one line a stamp, or several of the same."""
    return b"".join(b"%s line %d\n" % (stamp(number), number) for number in numbers)


class Log:
    """The log of one pod, which is asked for any number of times."""

    def __init__(self, *answers: list[bytes | EngineError], is_over: bool = True) -> None:
        self._answers = iter(answers)
        self.cluster = FakeCluster(opened=self._open)
        self.watch = PodWatch(cast("Cluster", self.cluster), {})
        self.watch.note(ended(0, "Completed") if is_over else running())

    def _open(self, _path: str, _query: Mapping[str, str]) -> Iterator[bytes | EngineError]:
        answer = next(self._answers, [])
        if answer and isinstance(answer[0], EngineError):
            raise answer[0]
        return self._chunks(answer)

    def _chunks(self, answer: list[bytes | EngineError]) -> Iterator[bytes | EngineError]:
        for chunk in answer:
            if chunk == b"END":
                # The watch learns of the end while the log is followed.
                self.watch.note(ended(0, "Completed"))
            else:
                yield chunk

    def follow(self, cursor: str = START, *, is_new: bool = False) -> PodOutput:
        """Return the output from a position on."""
        return PodOutput(cast("Cluster", self.cluster), self.watch, "step-1", cursor, is_new=is_new)


def read(output: PodOutput) -> bytes:
    """Return all of an output."""
    return b"".join(chunk for _, chunk in output)


def test_a_log_is_read_without_its_stamps() -> None:
    output = Log([lines(1, 2)[:30], lines(1, 2)[30:]]).follow()
    assert not output.caught_up
    assert read(output) == b"line 1\nline 2\n"
    assert output.caught_up
    assert output.lost is None


def test_a_position_is_found_again_among_lines_of_one_second_and_one_stamp() -> None:
    log = Log([lines(1, 2, 2, 2)], [lines(1, 2, 2, 2, 3)])
    first = log.follow()
    assert read(first) == b"line 1\nline 2\nline 2\nline 2\n"
    second = log.follow(first.cursor)
    assert read(second) == b"line 3\n"
    assert second.lost is None
    assert log.cluster.queries[-1]["sinceTime"] == "2026-11-29T20:00:00Z", "the whole second"


def test_lines_after_a_clock_went_back_are_new() -> None:
    log = Log([lines(5)], [lines(5, 4, 6)])
    first = log.follow()
    read(first)
    assert read(log.follow(first.cursor)) == b"line 4\nline 6\n"


def test_a_log_that_was_replaced_meanwhile_is_a_loss() -> None:
    log = Log([lines(1)], [lines(15, 16)])
    first = log.follow()
    read(first)
    second = log.follow(first.cursor)
    assert read(second) == b"line 15\nline 16\n"
    assert second.lost is not None
    assert "newest part" in second.lost


def test_what_comes_between_the_end_of_the_log_and_the_containers_is_read_too() -> None:
    log = Log([lines(1), b"END"], [lines(1, 2)], is_over=False)
    assert read(log.follow(is_new=True)) == b"line 1\nline 2\n"
    assert [query["follow"] for query in log.cluster.queries] == ["true", "false"]


def test_a_log_that_ends_before_its_container_is_not_asked_for_over_and_over() -> None:
    """Where twenty pods end at once, the cluster says so seconds after their logs have ended."""
    log = Log([lines(1)], is_over=False)
    late = threading.Timer(2.0, log.watch.note, [ended(0, "Completed")])
    late.start()
    assert read(log.follow(is_new=True)) == b"line 1\n"
    late.join()
    assert len(log.cluster.queries) <= 6


def test_a_cut_is_an_error_and_the_output_goes_on_from_the_cursor() -> None:
    log = Log([lines(1, 2), EngineUnavailableError("cut")], [lines(1, 2, 3), b"END"], [], is_over=False)
    first = log.follow(is_new=True)
    chunks = iter(first)
    assert next(chunks) == ("stdout", b"line 1\nline 2\n")
    with pytest.raises(EngineUnavailableError):
        next(chunks)
    assert read(log.follow(first.cursor, is_new=True)) == b"line 3\n"


def test_a_last_line_without_an_end_is_read() -> None:
    assert read(Log([stamp(1) + b" half"]).follow()) == b"half"


def test_the_output_of_a_pod_that_is_gone_is_lost() -> None:
    output = Log([ContainerGoneError("gone")]).follow()
    assert read(output) == b""
    assert output.lost is not None
    assert "removed" in output.lost


def test_a_log_that_a_node_has_removed_is_lost_unless_it_was_followed() -> None:
    """Of a pod that is being deleted, the node removes the log as soon as all of its containers have ended."""
    said = b"unable to retrieve container logs for containerd://1234"
    output = Log([said]).follow()
    assert read(output) == b""
    assert output.lost is not None
    log = Log([lines(1), b"END"], [said], is_over=False)
    followed = log.follow(is_new=True)
    assert read(followed) == b"line 1\n"
    assert followed.lost is None


def test_a_container_that_never_ran_has_no_output() -> None:
    output = Log([RefusedError("is waiting to start")]).follow()
    assert read(output) == b""
    assert output.lost is None


def test_the_end_of_a_log_is_a_position() -> None:
    log = Log([lines(7)], [lines(6, 7, 8)])
    cursor = end_of_log(cast("Cluster", log.cluster), "step-1")
    assert read(log.follow(cursor, is_new=True)) == b"line 8\n"
    assert end_of_log(cast("Cluster", Log([]).cluster), "step-1") == START
