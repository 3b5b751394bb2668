"""A step is judged green only if everything was right."""

import dataclasses

import pytest

from drayage.verdict.judge import Ending, Facts, LimitReached, Reason, Verdict, exception_line, judge

GREEN = Facts(ending=Ending(0), opened=True, closed=True)
EXCEPTION = {"name": "KeyError", "message": "KeyError: 'x'\n", "stack": [], "cause": None, "context": None}


def test_a_clause_leaves_the_full_stop_to_its_sentence() -> None:
    """Most texts of errors and exceptions are sentences."""
    assert Verdict((Reason("exception", "it failed with E: no disk."), Reason("exit", "it exited"))).clauses == (
        "it failed with E: no disk",
        "it exited",
    )


def test_green_needs_exit_code_zero_and_a_complete_session() -> None:
    assert judge(GREEN).green


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"ending": Ending(3)}, "exit", "code 3"),
        ({"ending": Ending(143)}, "exit", "code 143 (SIGTERM)"),
        ({"ending": Ending(137, oom_killed=True, memory_limit_bytes=2**26)}, "memory", "limit of 64 MiB"),
        (
            {"ending": Ending(137, memory_limit_bytes=2**26)},
            "exit",
            "perhaps the kernel: out of memory at its limit of 64 MiB",
        ),
        ({"ending": Ending(0, engine_error="oh")}, "exit", "the engine says: oh"),
        ({"ending": Ending(-1, engine_error="no node")}, "exit", "it has no exit code; the engine says: no node"),
        ({"opened": False, "debug_text": "Look there."}, "pipes", "never opened Dagster Pipes. Look there."),
        ({"closed": False}, "pipes", "never closed it"),
        ({"exception": EXCEPTION}, "exception", "the workload failed with KeyError: 'x'"),
        ({"problems": ["no JSON"], "problem_count": 1}, "message", "a message was not understood: no JSON"),
        ({"problems": ["a"] * 20, "problem_count": 99}, "message", "and 94 more"),
        ({"disorder": ["a report came after the last close"], "disorder_count": 1}, "pipes", "after the last close"),
        ({"disorder": ["a"] * 5, "disorder_count": 6}, "pipes", "and 1 more"),
        ({"lost": ["the disk is full"], "lost_count": 1}, "output", "some of its output was lost: the disk is full"),
        ({"lost": ["a"] * 5, "lost_count": 7}, "output", "and 2 more"),
        ({"lost": ["a"], "lost_count": 1, "closed": False}, "output", "lost"),
        ({"broken_promises": ["'rows' is missing"]}, "promise", "'rows' is missing"),
        ({"limit": LimitReached("timeout_s", 5, "it did not end")}, "limit", "within 5 s (timeout_s)"),
    ],
)
def test_whatever_is_wrong_is_the_first_reason(change: dict[str, object], kind: str, says: str) -> None:
    verdict = judge(dataclasses.replace(GREEN, **change))  # type: ignore[arg-type]  # fields by name
    assert not verdict.green
    assert verdict.reasons[0].kind == kind
    assert says in verdict.reasons[0].text


def test_memory_is_not_blamed_for_what_a_time_limit_ended() -> None:
    limit = LimitReached("timeout_s", 5, "it did not end")
    facts = dataclasses.replace(GREEN, ending=Ending(137, memory_limit_bytes=2**26), limit=limit)
    assert "memory" not in "".join(reason.text for reason in judge(facts).reasons)


def test_memory_is_not_blamed_where_the_engine_says_who_killed_it() -> None:
    ending = Ending(137, memory_limit_bytes=2**26, engine_error="the pod was evicted")
    text = "".join(reason.text for reason in judge(dataclasses.replace(GREEN, ending=ending)).reasons)
    assert text.endswith("the engine says: the pod was evicted")
    assert "memory" not in text


def test_all_reasons_are_listed_the_cause_first() -> None:
    facts = dataclasses.replace(GREEN, ending=Ending(1), exception=EXCEPTION, closed=False)  # type: ignore[arg-type]
    assert [reason.kind for reason in judge(facts).reasons] == ["exception", "exit", "pipes"]


@pytest.mark.parametrize(
    ("exception", "line"),
    [
        ({"name": "ValueError", "message": "bad\nthing"}, "ValueError: bad thing"),
        ({"name": None, "message": "bad"}, "bad"),
        ({"name": "Panic", "message": ""}, "Panic"),
        ({}, "an exception without a message"),
    ],
)
def test_exceptions_of_any_language_fit_on_one_line(exception: dict[str, object], line: str) -> None:
    assert exception_line(exception) == line  # type: ignore[arg-type]  # other languages' fields may be missing
