"""A failure is short and plain text, and says where the rest is."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drayage.engine import ContainerState
from drayage.errors import (
    DrayageError,
    EngineUnavailableError,
    EntrypointError,
    ImageChangedError,
    ImageMissingError,
    ImageNotPulledError,
    PromiseError,
    SettingsError,
)
from drayage.verdict.failure import error_failure, plain, shortened, step_failure
from drayage.verdict.judge import Ending, Facts, Reason, Verdict, judge

STATE = ContainerState("1" * 64, "name", "img", "sha256:1", "ended", 1, False, "", 0, 1.0, 2.0, {})  # noqa: FBT003


def failed(tmp_path: Path, exception: Any = None, *, lines: tuple[str, ...] = (), **links: str) -> dg.Failure:
    facts = Facts(Ending(1), opened=True, closed=True, exception=exception)
    return step_failure(
        verdict=judge(facts),
        facts=facts,
        state=STATE,
        last_lines=lines,
        metadata={},
        commands=["do this"],
        links=links,
        whole=tmp_path / "failure.txt",
    )


def exception(message: str, cause: Any = None, stack: Any = ()) -> dict[str, Any]:
    return {"name": "E", "message": message, "stack": list(stack), "cause": cause, "context": None}


def texts(failure: dg.Failure) -> str:
    return "\n".join([failure.description or "", *(str(value.value) for value in failure.metadata.values())])


def test_a_long_exception_is_cut_and_its_whole_is_in_a_file(tmp_path: Path) -> None:
    failure = failed(
        tmp_path, exception("x" * 1_500_000 + "middle" + "y" * 1_500_000 + " the end", stack=["frame\n"] * 40)
    )
    assert len(texts(failure)) < 40_000
    assert "the end" in (failure.description or "")
    assert f"This was cut; the whole is in {tmp_path}/failure.txt." in (failure.description or "")
    whole = (tmp_path / "failure.txt").read_text()
    assert "middle" in whole
    assert whole.count("frame") == 40
    assert (tmp_path / "failure.txt").stat().st_mode & 0o777 == 0o600


def test_a_short_one_needs_no_file(tmp_path: Path) -> None:
    failure = failed(tmp_path, exception("boom", stack=["frame\n"]))
    assert "cut" not in texts(failure)
    assert not (tmp_path / "failure.txt").exists()


def test_a_file_that_cannot_be_written_does_not_hide_the_failure(tmp_path: Path) -> None:
    failure = failed(tmp_path / "gone", exception("x" * 10_000))
    assert "the whole cannot be written to" in (failure.description or "")


def test_causes_are_shown_first_and_any_number_of_them_ends(tmp_path: Path) -> None:
    chain: dict[str, Any] = exception("first")
    for number in range(7):
        chain = exception(f"number {number}.", cause=chain)
    shown = str(failed(tmp_path, chain).metadata["pipes_exception"].value)
    assert shown.index("first") < shown.index("number 0.") < shown.index("number 6.")
    for number in range(7, 5000):
        chain = exception(f"number {number}.", cause=chain)
    shown = str(failed(tmp_path, chain).metadata["pipes_exception"].value)
    assert shown.index("number 4998.") < shown.index("number 4999.")
    assert "further causes are left out" in (tmp_path / "failure.txt").read_text()


def test_a_cause_that_is_text_is_shown(tmp_path: Path) -> None:
    assert "the disk" in str(failed(tmp_path, exception("boom", cause="the disk")).metadata["pipes_exception"].value)


@pytest.mark.parametrize(
    "code",
    ["\x1b[1;31m", "\x9b0m", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\", "\x1b(B", "\x1bc", "\x1bPq\x1b\\", "\u202e"],
)
def test_no_code_of_a_terminal_is_in_a_failure(tmp_path: Path, code: str) -> None:
    failure = failed(
        tmp_path,
        exception(f"a{code}b", stack=[f"f{code}g\n"], cause=exception(f"c{code}d")),
        lines=(f"l{code}m",),
        page=f"http://x/{code}y",
    )
    assert all(text in texts(failure) for text in ("E: ab", "fg", "cd", "lm", "http://x/y"))
    assert not set(texts(failure)) & set("\x1b\x9b\0\x07\u202e")


def test_nul_is_written_out(tmp_path: Path) -> None:
    """PostgreSQL refuses it."""
    assert "\0" not in texts(failed(tmp_path, exception("a\0b", stack=["f\0g\n"]), lines=("l\0m",)))


def test_an_unfinished_code_hides_no_text() -> None:
    assert plain("\x1b]0;why it failed\nand more") == "0;why it failed\nand more"


@given(st.text(st.characters(), max_size=60))
def test_plain_text_can_be_stored_and_shown(text: str) -> None:
    clean = plain(text)
    clean.encode()
    assert not any(ord(character) < 32 and character not in "\n\t" for character in clean)
    assert plain(clean) == clean


def test_a_text_is_shortened_in_its_middle() -> None:
    assert shortened("a" * 4000) == "a" * 4000
    assert len(shortened("a" * 10**6)) < 4100


@pytest.mark.parametrize(
    ("kinds", "again"),
    [
        ("promise", False),
        ("message", False),
        ("message promise", False),
        ("exit", True),
        ("exit promise", True),
        ("message exit", True),
        ("memory", True),
        ("limit", True),
        ("exception", True),
        ("pipes", True),
    ],
)
def test_a_retry_is_allowed_where_it_may_help(tmp_path: Path, kinds: Any, again: bool) -> None:  # noqa: FBT001
    verdict = Verdict(tuple(Reason(kind, "why") for kind in kinds.split()))
    facts = Facts(Ending(1), opened=True, closed=True)
    failure = step_failure(
        verdict=verdict,
        facts=facts,
        state=STATE,
        last_lines=(),
        metadata={},
        commands=(),
        links={},
        whole=tmp_path / "f",
    )
    assert failure.allow_retries is again


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (SettingsError, False),
        (PromiseError, False),
        (ImageChangedError, False),
        (ImageNotPulledError, False),
        (EntrypointError, False),
        (ImageMissingError, True),
        (EngineUnavailableError, True),
    ],
)
def test_an_error_allows_a_retry_where_it_may_help(error: type[DrayageError], again: bool) -> None:  # noqa: FBT001
    assert error_failure("text", error("text"), {}).allow_retries is again
