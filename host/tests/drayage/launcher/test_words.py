import pytest

from drayage.launcher import words


def test_an_order_is_read_as_it_was_written() -> None:
    order = words.order("run-1", "container-1")
    assert order.endswith(b"\n")
    assert words.read_order(order.decode().rstrip("\n")) == ("run-1", "container-1")
    assert words.read_order(words.DISMISS.decode().rstrip("\n")) is None


def test_an_order_is_written_in_one_piece() -> None:
    """Longer ones could be mixed with those of another launcher (POSIX, PIPE_BUF)."""
    assert len(words.order("0" * 36, "0" * 64)) < 512


@pytest.mark.parametrize("line", ["", "run", "run 1", "run 12run 34 56", "run 1 2 3", "stop"])
def test_what_is_no_order_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="expected `run <run id> <container id>` or `dismiss`"):
        words.read_order(line)


def test_the_words_of_a_run_worker_are_told_from_what_else_it_prints() -> None:
    lines = ["is ready", words.line(words.LOADING), "a warning", words.line(words.READY), words.line(words.takes("r"))]
    assert words.heard(lines) == [words.LOADING, words.READY, words.takes("r")]


def test_a_run_worker_has_decided_once_it_obeyed_or_ends() -> None:
    decided = [words.takes("r"), words.DISMISSED, words.EXPIRED]
    assert [words.is_decided(it) for it in (words.LOADING, words.READY, *decided)] == [False, False, True, True, True]
