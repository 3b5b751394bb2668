"""The ledger: every order of messages, and what is left for the verdict."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drayage.engine import ContainerState
from drayage.pipes.ledger import Ledger
from drayage.pipes.transcript import described
from drayage.verdict.failure import step_failure
from drayage.verdict.judge import Facts, SizeReached, exception_line, judge

ENDED = ContainerState(
    id="a" * 64,
    name="a",
    image="a",
    image_id="sha256:a",
    status="ended",
    exit_code=0,
    oom_killed=False,
    error="",
    memory_limit_bytes=0,
    started_at_s=1.0,
    finished_at_s=2.0,
    labels={},
)
FAILURE = {"message": "lost", "name": "E", "stack": [], "cause": None, "context": None}
EXIT = {"message": "SystemExit: 0\n", "name": "SystemExit", "stack": ["at\n"], "cause": None, "context": None}
ORDINARY = {
    "o": ("opened", {}),
    "c": ("closed", {}),
    "f": ("closed", {"exception": FAILURE}),
    "g": ("closed", {"exception": {**FAILURE, "message": "later"}}),
    "x": ("closed", {"exception": EXIT}),
    "m": ("report_asset_materialization", {"asset_key": "a", "metadata": None, "data_version": None}),
    "l": ("log", {"message": "a"}),
    "u": ("report_custom_message", {"payload": 1}),
    "p": ("report_custom_message", {"payload": {"kind": "progress", "metadata": {}}}),
}


class Handler:
    """Dagster's handler at the boundary: it takes everything, and nothing after a closing message."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.received_closed_message = False

    def handle_message(self, message: Any) -> None:
        assert not self.received_closed_message, "it would warn of every one"
        self.taken.append(message)
        self.received_closed_message = message["method"] == "closed"


def heard(order: str, *, restarts: int = 0, exit_code: int = 0) -> tuple[Facts, Handler]:
    """What is known after an order of messages, one letter each."""
    return hear([ORDINARY[letter] for letter in order], restarts=restarts, exit_code=exit_code)


def hear(messages: list[tuple[str, Any]], *, restarts: int = 0, exit_code: int = 0) -> tuple[Facts, Handler]:
    ledger, handler = Ledger(on_custom=lambda payload: payload == 1), Handler()
    sink = ledger.over(handler)  # type: ignore[arg-type]  # a fake at the boundary
    for method, params in messages:
        sink.handle_message({"__dagster_pipes_version": "0.1", "method": method, "params": params})
    ledger.finish()
    state = dataclasses.replace(ENDED, restarts=restarts, exit_code=exit_code)
    return ledger.facts(state, broken_promises=(), limit=None, debug_text=""), handler


@pytest.mark.parametrize(
    ("order", "restarts"),
    [
        ("omc", 0),
        ("ocomc", 0),
        ("omcoc", 0),
        # A program within a program.
        ("oomcmc", 0),
        # A shell's trap that closes again.
        ("omcc", 0),
        ("lomcl", 0),
        ("uomcu", 0),
        ("omx", 0),
        ("oxomc", 0),
        # Killed in its first life, and in its second.
        ("oomc", 1),
        ("omomc", 1),
        ("ooomcl", 2),
        # Killed before it opened.
        ("omc", 1),
    ],
)
def test_whole_sessions_are_green(order: str, restarts: int) -> None:
    facts, _ = heard(order, restarts=restarts)
    assert judge(facts).green, judge(facts)


@pytest.mark.parametrize(
    ("order", "restarts", "says"),
    [
        ("", 0, "it never opened Dagster Pipes"),
        ("m", 0, "before it opened Dagster Pipes (message 1)"),
        ("ofomc", 0, "the workload failed with E: lost"),
        ("oxof", 0, "the workload failed with E: lost"),
        ("ofog", 0, "the workload failed with E: lost"),
        ("ofox", 0, "the workload failed with E: lost"),
        ("of", 1, "the workload failed with E: lost"),
        ("ocom", 0, "it opened Dagster Pipes 2 times, and did not close it 1 of these times"),
        ("ooomc", 0, "it opened Dagster Pipes 3 times, and did not close it 2 of these times"),
        ("om", 0, "it opened Dagster Pipes and never closed it"),
        ("om", 1, "it opened Dagster Pipes and never closed it"),
        ("oom", 1, "it opened Dagster Pipes 2 times, and did not close it 1 of these times"),
        ("ocm", 0, 'it reported a materialization of "a" after it had closed Dagster Pipes (message 3)'),
        ("ocp", 0, 'it reported a message of kind "progress" after it had closed'),
        ("oomcm", 1, 'it reported a materialization of "a" after it had closed'),
        ("moc", 0, 'it reported a materialization of "a" before it opened'),
        ("com", 0, "it closed Dagster Pipes before it opened it"),
        ("comc", 0, "it closed Dagster Pipes before it opened it"),
        ("oc" + "m" * 30, 0, "and 25 more"),
    ],
)
def test_what_is_lost_between_sessions_is_red(order: str, restarts: int, says: str) -> None:
    facts, handler = heard(order, restarts=restarts)
    verdict = judge(facts)
    assert says in "; ".join(reason.text for reason in verdict.reasons)
    if order.startswith("oc") and "after" in says:
        assert not any(message["method"].startswith("report") for message in handler.taken), "or it would be recorded"


@settings(deadline=None, max_examples=300)
@given(st.text("ocfml", max_size=8), st.integers(0, 2))
def test_green_has_a_close_for_every_open_and_no_report_outside(order: str, restarts: int) -> None:
    """Whatever the order, told apart by the simplest count there is."""
    facts, _ = heard(order, restarts=restarts)
    if not judge(facts).green:
        return
    assert "f" not in order
    assert order.count("c") >= order.count("o") - restarts > -restarts
    assert order.rstrip("ml").endswith("c")
    assert order.lstrip("l").startswith("o")
    assert "m" not in order[order.rindex("c") :]
    if restarts == 0:
        depth = 0
        for letter in order:
            depth = depth + 1 if letter == "o" else max(0, depth - 1) if letter == "c" else depth
            assert letter != "m" or depth


def test_an_exit_that_another_code_contradicts_is_shown() -> None:
    facts, _ = heard("omx", exit_code=1)
    assert [reason.kind for reason in judge(facts).reasons] == ["exception", "exit"]


@pytest.mark.parametrize("message", ["SystemExit: 3\n", "SystemExit: no trips", "SystemExit: 00", "0"])
def test_any_other_exit_is_a_failure(message: str) -> None:
    facts, _ = hear([("opened", {}), ("closed", {"exception": {**EXIT, "message": message}})])
    assert judge(facts).reasons[0].kind == "exception"


def test_dagster_hears_of_one_close_and_first_of_the_failure() -> None:
    _, handler = heard("ocof")
    assert [message["method"] for message in handler.taken] == ["opened", "opened", "closed"]
    assert handler.taken[-1]["params"]["exception"] == FAILURE


def test_dagster_hears_of_no_failure_at_a_clean_exit() -> None:
    _, handler = heard("ox")
    assert handler.taken[-1]["params"] == {}


@pytest.mark.parametrize(
    ("level", "became"),
    [("NOTICE", "[NOTICE] a"), ("x" * 99, f"[{'x' * 40}…] a"), ("", "[] a"), ("Warning", None), ("debug", None)],
)
def test_a_level_that_dagster_does_not_have_is_info_with_its_name(level: str, became: str | None) -> None:
    facts, handler = hear([("log", {"message": "a", "level": level})])
    expected = {"message": "a", "level": level} if became is None else {"message": became, "level": "INFO"}
    assert handler.taken[0]["params"] == expected
    assert facts.problem_count == 0


def test_a_mistake_in_an_opening_or_closing_message_is_the_only_reason() -> None:
    facts, _ = hear([("opened", {"extras": 3}), ORDINARY["m"], ("closed", {"exception": "boom"})], exit_code=1)
    reasons = judge(facts).reasons
    assert [reason.kind for reason in reasons] == ["exception", "exit", "message"]
    assert "params.extras must be object, got 3" in reasons[2].text
    assert 'params.exception must be object, got "boom"' in reasons[2].text


def test_a_problem_can_always_be_stored() -> None:
    facts, _ = hear([("log", {"message": "\udce9" * 10**5}), ("\udce9" * 10**5, {})])
    ledger = Ledger()
    ledger.report_problem("the file \udce9 cannot be read")
    (unreadable,) = ledger.facts(ENDED, broken_promises=(), limit=None, debug_text="").problems
    assert unreadable == "the file \\udce9 cannot be read"
    for text in facts.problems:
        assert len(text) < 2500
        assert text.encode()


class LogSink:
    """Takes log messages, and notes in which way it was finished."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []
        self.hurried: list[bool] = []

    def put(self, level: str, text: str) -> None:
        self.taken.append((level, text))

    def finish(self, *, hurried: bool) -> None:
        self.hurried.append(hurried)


@pytest.mark.parametrize("hurried", [False, True])
def test_log_messages_go_their_own_way_and_all_before_the_close(*, hurried: bool) -> None:
    """Dagster's handler stores one at a time, and would hold up what follows."""
    ledger, handler, logs = Ledger(), Handler(), LogSink()
    ledger.pass_logs_to(logs)
    sink = ledger.over(handler)  # type: ignore[arg-type]  # a fake at the boundary
    for method, params in [
        ORDINARY["o"],
        ("log", {"message": "a", "level": "NOTICE"}),
        ("log", {"message": "b"}),
        ("log", {"message": 3}),
        ("closed", {"exception": FAILURE}),
    ]:
        sink.handle_message({"__dagster_pipes_version": "0.1", "method": method, "params": params})
    logs.finish = lambda *, hurried: logs.hurried.append(hurried or len(handler.taken) > 1)  # type: ignore[method-assign]
    ledger.finish(hurried=hurried)
    assert logs.taken[:2] == [("INFO", "[NOTICE] a"), ("INFO", "b")]
    # A step that ends early has no verdict to say it.
    assert [(level, "message 4 (method" in text) for level, text in logs.taken[2:]] == [("WARNING", True)] * hurried
    assert logs.hurried == [hurried]
    assert [message["method"] for message in handler.taken] == ["opened", "closed"]
    assert ledger.facts(ENDED, broken_promises=(), limit=None, debug_text="").problem_count == 1


def test_the_limit_of_all_messages_makes_the_step_red_and_wakes_the_watch() -> None:
    woken: list[None] = []
    ledger = Ledger(on_activity=lambda: woken.append(None))
    sink = ledger.over(Handler())  # type: ignore[arg-type]  # a fake at the boundary
    limit = SizeReached("messages_bytes", 100, "it sent messages of")
    sink.reach_limit(limit)
    sink.reach_limit(limit)
    assert ledger.limit == limit
    assert len(woken) == 1
    (reason, *_) = judge(ledger.facts(ENDED, broken_promises=(), limit=None, debug_text="")).reasons
    assert (reason.kind, reason.text) == (
        "limit",
        "it sent messages of more than 100 bytes (messages_bytes), so it was stopped",
    )


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "name", "message", "stack", "cause", "context"]), inner, max_size=6)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(ANY_JSON)
def test_no_exception_of_any_form_is_lost(exception: Any) -> None:
    facts, _ = hear([("opened", {}), ("closed", {"exception": exception})])
    verdict = judge(facts)
    # None is what some libraries send where there was none, and is a mistake of form alone.
    assert verdict.reasons[0].kind == ("message" if exception is None else "exception")
    failure = step_failure(
        verdict=verdict,
        facts=facts,
        state=ENDED,
        last_lines=(),
        metadata={},
        commands=("look",),
        links={},
        whole=Path("/nowhere/failure.txt"),
    )
    assert (failure.description or "").encode()
    assert described({"method": "closed", "params": {"exception": exception}}).encode()
    assert all(reason.text.encode() for reason in verdict.reasons)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from([method for method, _ in ORDINARY.values()]), ANY_JSON)
def test_a_message_of_any_form_can_be_shown(method: str, params: Any) -> None:
    assert described({"method": method, "params": params}).encode()
    assert described(params).encode()


def test_a_chain_of_causes_is_followed_to_its_end() -> None:
    """A program may chain more of them than Python has frames."""
    exception: Any = None
    for number in range(200):
        exception = {**FAILURE, "message": str(number), "cause": exception}
    facts, _ = hear([("opened", {}), ("closed", {"exception": exception})])
    assert facts.exception is not None
    assert exception_line(facts.exception) == "E: 199"
