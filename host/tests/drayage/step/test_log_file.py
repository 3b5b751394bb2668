"""The file of one output stream takes its lines in order, and nothing after it has refused some."""

import errno
import io
from typing import Any

import pytest

from drayage.step.log_file import Allowance, LogFile
from drayage.step.losses import Losses


class Refusing(io.BytesIO):
    """A file whose first write fails."""

    error: Exception | None = OSError(errno.ENOSPC, "No space left on device")

    def write(self, content: Any) -> int:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return super().write(content)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("write to closed file")], ids=repr
)
def test_after_an_error_nothing_more_is_written(error: Exception) -> None:
    """Lines that are missing in the middle would not be noticed by whoever reads the file."""
    file, losses = Refusing(), Losses()
    file.error = error
    log = LogFile(file, "stdout.log", allowance=Allowance(100), losses=losses)
    for line in (b"one\n", b"two\n"):
        log.keep(line)
        log.flush()
    assert file.getvalue() == b""
    assert losses.count == 1


def test_the_mark_of_the_limit_comes_after_what_was_kept() -> None:
    file = io.BytesIO()
    log = LogFile(file, "stdout.log", allowance=Allowance(5), losses=Losses())
    assert [log.keep(b"one\n"), log.keep(b"two\n")] == [True, False]
    log.mark_limit()
    assert file.getvalue().startswith(b"one\n[drayage: the output is longer than output_bytes, 5 bytes")


def test_what_the_file_takes_in_parts_is_written_whole() -> None:
    """A disk that is nearly full takes a part of what it is given."""

    class Short(io.BytesIO):
        def write(self, content: Any) -> int:
            return super().write(content[:3])

    file, losses = Short(), Losses()
    log = LogFile(file, "stdout.log", allowance=Allowance(100), losses=losses)
    log.keep(b"a longer line\n")
    log.flush()
    assert file.getvalue() == b"a longer line\n"
    assert losses.count == 0


def test_many_losses_are_all_counted_and_the_first_ones_are_told() -> None:
    losses = Losses()
    for number in range(1000):
        losses.add(f"loss {number}")
        losses.note(f"note {number}")
    assert losses.count == 1000
    assert losses.first == tuple(f"loss {number}" for number in range(20))
    assert losses.notes == tuple(f"note {number}" for number in range(20))
