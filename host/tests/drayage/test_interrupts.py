"""Interrupts are held back until drayage waits, and none is lost."""

import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from threading import Event

import pytest

from drayage.interrupts import between_yields, deliver, held_back, wait


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
