"""Interrupts are held back until drayage waits, and none is lost."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from threading import Event
from typing import Any

import pytest

from drayage.interrupts import Cancellation, between_yields, deliver, held_back, need, wait


class StruckError(Exception):
    """Raised by the signal handlers of these tests."""


@pytest.fixture(autouse=True)
def raising() -> Iterator[None]:
    def strike(number: int, _frame: object) -> None:
        raise StruckError(signal.Signals(number).name)

    before = {number: signal.signal(number, strike) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_raised_when_the_work_is_done(sent: signal.Signals) -> None:
    done: list[str] = []

    @held_back()
    def work() -> None:
        signal.raise_signal(sent)
        done.append("work")

    with pytest.raises(StruckError, match=sent.name):
        work()
    assert done == ["work"]
    with pytest.raises(StruckError):
        signal.raise_signal(sent)


def test_an_error_meanwhile_is_its_context_and_the_handlers_are_restored() -> None:
    @held_back()
    def fail() -> None:
        signal.raise_signal(signal.SIGINT)
        raise ValueError

    with pytest.raises(StruckError) as struck:
        fail()
    assert isinstance(struck.value.__context__, ValueError)
    with pytest.raises(StruckError):
        signal.raise_signal(signal.SIGINT)


def test_one_that_was_held_back_is_raised_at_the_next_wait() -> None:
    with held_back():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(StruckError):
            wait(Event(), 60)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(StruckError):
            deliver()
        deliver()


def test_one_that_comes_during_a_wait_is_raised_soon() -> None:
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with held_back(), pytest.raises(StruckError):
        wait(Event(), 60)
    assert time.monotonic() - began < 30


def test_waiting_returns_whether_the_event_came() -> None:
    event = Event()
    with held_back():
        assert not wait(event, 0.25)
        threading.Timer(0.2, event.set).start()
        assert wait(event, 60)
        assert wait(event, 0)


def test_in_another_thread_nothing_is_held_back_or_delivered() -> None:
    waited = []

    @held_back()
    def elsewhere() -> None:
        deliver()
        waited.append(wait(Event(), 0.01))

    @held_back()
    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    with pytest.raises(StruckError):
        work()
    assert waited == [False]


def test_of_two_nested_ones_the_outer_decides() -> None:
    done = []
    with held_back():
        with held_back():
            signal.raise_signal(signal.SIGINT)
        done.append("not interrupted at the end of the inner one")
        with pytest.raises(StruckError):
            deliver()
    assert done


def numbers(ended: list[str]) -> Generator[int, None, None]:
    try:
        yield 1
        signal.raise_signal(signal.SIGINT)
        yield 2
    except BaseException as error:
        ended.append(type(error).__name__)
        raise
    finally:
        ended.append("cleaned up")


def test_a_generator_is_interrupted_between_its_results_and_cleans_up() -> None:
    ended: list[str] = []
    results = between_yields(numbers(ended))
    assert next(results) == 1
    assert signal.getsignal(signal.SIGINT).__name__ == "strike", "the consumer of the results is interrupted as usual"  # type: ignore[union-attr]
    with pytest.raises(StruckError):
        next(results)
    assert ended == ["GeneratorExit", "cleaned up"]


def test_a_generator_that_is_abandoned_is_closed() -> None:
    ended: list[str] = []
    results = between_yields(numbers(ended))
    next(results)
    del results
    assert ended == ["GeneratorExit", "cleaned up"]


def in_step(work: Callable[[], object]) -> tuple[Cancellation, "Future[object]"]:
    """Let a thread work as that of a step, and return its cancellation and what comes of it."""
    cancellation, outcome = Cancellation(StruckError), Future[object]()

    def execute() -> None:
        try:
            with cancellation.governing():
                result = work()
        except BaseException as error:  # noqa: BLE001 - it is what the test asks for
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    threading.Thread(target=execute, daemon=True).start()
    return cancellation, outcome


def struck_soon(cancellation: Cancellation, *, hard: bool = False) -> bool:
    """Try to strike for a while."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if cancellation.strike(hard=hard):
            return True
        time.sleep(0.01)
    return False


def test_a_step_is_cancelled_where_it_waits() -> None:
    began = Event()

    def work() -> None:
        with held_back():
            began.set()
            wait(Event(), 60)

    cancellation, outcome = in_step(work)
    assert began.wait(10)
    cancellation.request()
    assert isinstance(outcome.exception(timeout=10), StruckError)


def test_a_step_is_told_of_each_request_once() -> None:
    """As with signals: the second one cuts short what the first one began."""
    told, cancellation = [], Cancellation(StruckError)
    with cancellation.governing():
        for _ in range(2):
            cancellation.request()
            with pytest.raises(StruckError):
                wait(Event(), 60)
            told.append(wait(Event(), 0))
            deliver()
    assert told == [False, False]


def test_what_holds_it_back_is_struck_only_at_its_end() -> None:
    held, go_on, done = Event(), Event(), []

    def work() -> None:
        with held_back():
            held.set()
            go_on.wait()
            done.append("work")

    cancellation, outcome = in_step(work)
    assert held.wait(10)
    cancellation.request()
    assert not cancellation.strike(hard=True)
    go_on.set()
    assert isinstance(outcome.exception(timeout=10), StruckError)
    assert done == ["work"]


@pytest.mark.parametrize("ask", [lambda: sum(range(100)), lambda: time.sleep(0.01), lambda: Event().wait(0.01)])
def test_code_that_never_asks_is_struck_once(ask: Callable[[], object]) -> None:
    def work() -> None:
        while True:
            ask()

    cancellation, outcome = in_step(work)
    assert not cancellation.strike(), "nobody has asked for it"
    cancellation.request()
    assert struck_soon(cancellation)
    assert isinstance(outcome.exception(timeout=10), StruckError)
    assert not cancellation.strike()


def test_the_handling_of_a_log_record_is_never_struck() -> None:
    """Its lock belongs to all threads: one that died with it would stop the others for ever."""
    inside, go_on = Event(), Event()
    # In place of a handler that waits for its stream: what matters is in whose code the thread is.
    handling: dict[str, Any] = {"__name__": "logging", "inside": inside, "go_on": go_on}
    exec("def handle():\n    inside.set()\n    while not go_on.is_set(): pass\n", handling)  # noqa: S102 - ours

    def work() -> None:
        handling["handle"]()
        while True:
            time.sleep(0.01)

    cancellation, outcome = in_step(work)
    assert inside.wait(10)
    cancellation.request()
    assert not any(cancellation.strike(hard=True) for _ in range(100))
    assert logging.Handler.__module__ == handling["__name__"]
    go_on.set()
    assert struck_soon(cancellation)
    assert isinstance(outcome.exception(timeout=10), StruckError)


def test_dagsters_own_code_is_struck_only_hard() -> None:
    inside = Event()
    storing: dict[str, Any] = {"__name__": "dagster._core.storage", "inside": inside}
    exec("def store():\n    inside.set()\n    while True: pass\n", storing)  # noqa: S102 - ours
    cancellation, outcome = in_step(storing["store"])
    assert inside.wait(10)
    cancellation.request()
    assert not any(cancellation.strike() for _ in range(100))
    assert struck_soon(cancellation, hard=True)
    assert isinstance(outcome.exception(timeout=10), StruckError)


def test_a_thread_that_inherits_the_context_is_cancelled_too() -> None:
    """``asyncio.to_thread`` makes such threads; each is told, and so is the step's own."""
    elsewhere: Future[object] = Future()

    def beside() -> None:
        try:
            elsewhere.set_result(wait(Event(), 60))
        except StruckError as error:
            elsewhere.set_exception(error)

    def work() -> None:
        threading.Thread(target=copy_context().run, args=(beside,)).start()
        wait(Event(), 60)

    cancellation, outcome = in_step(work)
    cancellation.request()
    assert isinstance(outcome.exception(timeout=10), StruckError)
    assert isinstance(elsewhere.exception(timeout=10), StruckError)


def test_a_step_that_has_ended_is_not_struck() -> None:
    cancellation, outcome = in_step(lambda: "done")
    assert outcome.result(timeout=10) == "done"
    cancellation.request()
    assert not cancellation.strike(hard=True)


def test_a_step_can_say_that_it_needs_time() -> None:
    cancellation = Cancellation(StruckError)
    need(60)
    with cancellation.governing():
        need(30)
        need(10)
    assert 20 < cancellation.needed_until - time.monotonic() <= 30
