"""A container's output is read to its end: through cuts, as long as it comes, and never silently in part."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine
from fake_process import FakeImage, Process

from drayage.engine import ContainerSpec, ContainerState, Stream, Usage
from drayage.errors import ContainerGoneError, EngineError, EngineUnavailableError
from drayage.redaction import Redactor
from drayage.step import follower as follower_module
from drayage.step.follower import Follower
from drayage.step.losses import Losses
from drayage.step.output import OutputLogs, open_output_logs
from drayage.step.usage import UsageMeter

Part = bytes | Exception | Callable[[], None]


class Parts:
    """An output of given parts: chunks, errors to raise, and functions to call."""

    def __init__(self, parts: Sequence[Part], cursor: str = "0", lost: str | None = None) -> None:
        self.cursor = cursor
        self.lost = lost
        self.caught_up = True
        self.is_closed = False
        self._parts = parts

    def __iter__(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield the chunks."""
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            if callable(part):
                part()
                continue
            self.cursor = str(int(self.cursor) + len(part))
            yield "stdout", part

    def close(self) -> None:
        self.is_closed = True


class CutEngine(FakeEngine):
    """An engine whose containers' output goes on as told, and whose container ends when told."""

    def __init__(self, *later: Parts | EngineError) -> None:
        super().__init__({"image": FakeImage({"ends": lambda _: 0}, ["ends"])})
        self.later = list(later)
        self.cursors: list[str | None] = []
        self.ends: list[Any] = []

    def follow(self, container_id: str, cursor: str | None = None) -> Any:  # noqa: ARG002 - the protocol's signature
        self.cursors.append(cursor)
        following = self.later.pop(0)
        if isinstance(following, EngineError):
            raise following
        return following

    def await_end(self, container_id: str, timeout_s: float) -> ContainerState | None:
        if self.ends:
            end = self.ends.pop(0)
            if isinstance(end, Exception):
                raise end
            return end() if callable(end) else end
        return super().await_end(container_id, timeout_s)


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value_s in {
        "_SILENCE_S": 0.6,
        "_END_DEADLINE_S": 0.3,
        "_POLL_S": 0.05,
        "_ENGINE_INTERVAL_S": 0.01,
    }.items():
        monkeypatch.setattr(follower_module, name, value_s)


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
def logs(tmp_path: Path, losses: Losses) -> Iterator[OutputLogs]:
    with open_output_logs(tmp_path / "out", tmp_path / "err", Redactor(()), losses=losses) as logs:
        yield logs


def followed(engine: FakeEngine, logs: OutputLogs, output: Any) -> Follower:
    container = engine.create(ContainerSpec("image"))
    engine.start(container.id)
    follower = Follower(engine, container.id, logs=logs, output=output, on_change=lambda: None)
    follower.start()
    return follower


def test_a_result_before_the_start_is_refused_at_once(logs: OutputLogs, losses: Losses) -> None:
    """Nothing reads the output yet, so nothing would end the wait for its end."""
    engine, output = CutEngine(), Parts([b"one\n"])
    container = engine.create(ContainerSpec("image"))
    follower = Follower(engine, container.id, logs=logs, output=output, on_change=lambda: None)
    with pytest.raises(EngineError, match="has not ended, so it cannot be judged yet"):
        follower.result()
    assert output.is_closed
    assert losses.count == 0, "waited for"


def kept(tmp_path: Path, logs: OutputLogs) -> bytes:
    logs.finish()
    return (tmp_path / "out").read_bytes()


def test_output_that_goes_on_after_the_end_is_read_as_long_as_it_comes(
    tmp_path: Path, logs: OutputLogs, losses: Losses
) -> None:
    """Six million lines of an adopted container take minutes; a fixed time recorded a wrong number, green."""
    slow: list[Part] = [part for number in range(12) for part in (lambda: time.sleep(0.1), f"{number}\n".encode())]
    follower = followed(CutEngine(), logs, Parts(slow))
    assert follower.result().exit_code == 0
    assert kept(tmp_path, logs) == b"".join(f"{number}\n".encode() for number in range(12))
    assert losses.count == 0


def test_skipping_what_was_read_before_the_cut_is_waited_for(tmp_path: Path, logs: OutputLogs, losses: Losses) -> None:
    skipping: list[Part] = [part for _ in range(12) for part in (lambda: time.sleep(0.1), b"")]
    engine = CutEngine(Parts([*skipping, b"two\n"], cursor="4"))
    assert followed(engine, logs, Parts([b"one\n", EngineUnavailableError("cut")])).result().exit_code == 0
    assert kept(tmp_path, logs) == b"one\ntwo\n"
    assert losses.count == 0


def test_a_log_that_is_cut_whenever_it_is_skipped_is_a_loss(
    logs: OutputLogs, losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "_ENGINE_DEADLINE_S", 0.05)
    cuts = [Parts([b"", EngineUnavailableError("it stays away")], cursor="0") for _ in range(100)]
    followed(CutEngine(*cuts), logs, Parts([EngineUnavailableError("cut")])).result()
    assert losses.first == ("it stays away",)


def test_an_output_that_was_let_go_while_it_was_asked_for_is_closed(logs: OutputLogs) -> None:
    closed: list[bool] = []
    later = Parts([lambda: closed.append(later.is_closed)])
    engine = CutEngine(later)
    answer = engine.follow
    follower: list[Follower] = []

    def follow(container_id: str, cursor: str | None = None) -> Any:
        follower[0].let_go()
        return answer(container_id, cursor)

    engine.follow = follow  # type: ignore[method-assign]
    begins = threading.Event()
    follower.append(followed(engine, logs, Parts([lambda: begins.wait(30), EngineUnavailableError("cut")])))
    begins.set()
    follower[0].result()
    assert closed == [True]


def test_output_that_stops_coming_before_its_end_is_a_loss(logs: OutputLogs, losses: Losses) -> None:
    released = threading.Event()
    output = Parts([b"one\n", lambda: released.wait(30), b"two\n"])
    assert followed(CutEngine(), logs, output).result().exit_code == 0
    assert "did not come to an end" in losses.first[0]
    assert output.is_closed
    released.set()


def test_a_cut_output_goes_on_where_it_was(tmp_path: Path, logs: OutputLogs, losses: Losses) -> None:
    cut = Parts([b"one\n", EngineUnavailableError("cut")])
    engine = CutEngine(EngineUnavailableError("not yet"), Parts([b"two\n"], cursor="4"))
    followed(engine, logs, cut).result()
    assert engine.cursors == ["4", "4"]
    assert kept(tmp_path, logs) == b"one\ntwo\n"
    assert losses.count == 0


def test_an_output_that_ends_before_its_container_goes_on(tmp_path: Path, logs: OutputLogs, losses: Losses) -> None:
    """A program may close its streams, and an engine that dies ends an attachment as a container does."""
    engine = CutEngine(Parts([b"two\n"], cursor="4"))
    engine.ends = [lambda: time.sleep(0.8)]
    follower = followed(engine, logs, Parts([b"one\n"]))
    while not follower.ended:
        time.sleep(0.01)
    follower.result()
    assert kept(tmp_path, logs) == b"one\ntwo\n"
    assert losses.count == 0


def test_an_output_is_read_again_if_the_engine_was_away(tmp_path: Path, logs: OutputLogs, losses: Losses) -> None:
    engine = CutEngine(Parts([b"two\n"], cursor="4"))
    engine.ends = [EngineUnavailableError("restarting")]
    followed(engine, logs, Parts([b"one\n"])).result()
    assert kept(tmp_path, logs) == b"one\ntwo\n"
    assert losses.count == 0


def test_what_the_engine_lost_is_a_loss(logs: OutputLogs, losses: Losses) -> None:
    followed(CutEngine(), logs, Parts([b"one\n"], lost="its beginning is gone")).result()
    assert losses.first == ("its beginning is gone",)


def test_output_that_cannot_be_followed_again_is_a_loss(
    logs: OutputLogs, losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "_ENGINE_DEADLINE_S", 0.05)
    engine = CutEngine(*[EngineUnavailableError("it stays away") for _ in range(100)])
    followed(engine, logs, Parts([EngineUnavailableError("cut")])).result()
    assert losses.first == ("it stays away",)


def test_an_output_that_goes_on_between_many_cuts_is_no_loss(
    tmp_path: Path, logs: OutputLogs, losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline is for an engine that stays away, not for a connection that is bad for hours."""
    monkeypatch.setattr(follower_module, "_ENGINE_DEADLINE_S", 0.5)
    cut = EngineUnavailableError("cut")
    outputs = [Parts([lambda: time.sleep(0.1), b"on\n", cut], cursor=str(3 * number)) for number in range(12)]
    followed(CutEngine(*outputs[1:], Parts([b"end\n"])), logs, outputs[0]).result()
    assert kept(tmp_path, logs) == 12 * b"on\n" + b"end\n"
    assert losses.first == ()


def test_reading_that_is_let_go_does_not_try_again(logs: OutputLogs, losses: Losses) -> None:
    away = [EngineUnavailableError("it stays away") for _ in range(100_000)]
    threads_before = set(threading.enumerate())
    follower = followed(CutEngine(*away), logs, Parts([EngineUnavailableError("cut")]))
    (reading,) = (each for each in set(threading.enumerate()) - threads_before if each.name == "drayage-output")
    follower.let_go()
    reading.join(20)
    assert not reading.is_alive()
    assert losses.first == ()


def test_an_output_has_caught_up_only_when_it_says_so(logs: OutputLogs) -> None:
    """Until then, a container that was adopted has no limit on its start or its silence."""
    engine = CutEngine()
    container = engine.create(ContainerSpec("image"))
    engine.start(container.id)
    seen: list[float | None] = []

    def look() -> None:
        seen.append(follower.caught_up_at)

    def catch_up() -> None:
        output.caught_up = True

    output = Parts([look, b"before\n", look, catch_up, b"now\n", look])
    output.caught_up = False
    follower = Follower(engine, container.id, logs=logs, output=output, on_change=lambda: None)
    follower.start()
    follower.result()
    assert seen[:2] == [None, None]
    assert seen[2] is not None


def test_an_engine_may_be_away_for_a_while_more_than_once(logs: OutputLogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "_ENGINE_DEADLINE_S", 0.2)
    engine = CutEngine(Parts([]))
    engine.ends = [EngineUnavailableError("restarting"), lambda: time.sleep(0.4), EngineUnavailableError("again")]
    follower = followed(engine, logs, Parts([]))
    while not follower.ended:
        time.sleep(0.01)
    assert follower.result().exit_code == 0


def test_the_death_of_the_reading_thread_is_a_loss(logs: OutputLogs, losses: Losses) -> None:
    followed(CutEngine(), logs, Parts([b"one\n", KeyError("a fault")])).result()
    assert "a fault" in losses.first[0]


def test_the_death_of_the_thread_that_awaits_the_end_is_an_error(logs: OutputLogs) -> None:
    engine = CutEngine()
    engine.ends = [KeyError("a fault")]
    with pytest.raises(EngineError, match="a fault"):
        followed(engine, logs, Parts([])).result()


def test_a_container_that_someone_removed_is_an_error(logs: OutputLogs) -> None:
    engine = CutEngine()
    engine.ends = [engine.state("nowhere")]
    with pytest.raises(ContainerGoneError, match="removed by someone else"):
        followed(engine, logs, Parts([])).result()


def test_an_engine_that_does_not_come_back_is_an_error(logs: OutputLogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "_ENGINE_DEADLINE_S", 0.05)
    engine = CutEngine(*[EngineUnavailableError("away") for _ in range(100)])
    engine.ends = [EngineUnavailableError("away") for _ in range(100)]
    follower = followed(engine, logs, Parts([]))
    while not follower.ended:
        time.sleep(0.01)
    with pytest.raises(EngineUnavailableError, match="away"):
        follower.result()


def test_the_peak_of_memory_is_the_largest_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()
    samples = [Usage(2 * 2**20, 1.0), Usage(5 * 2**20, 2.0), None, Usage(3 * 2**20, 3.0)]
    monkeypatch.setattr(engine, "usage", lambda _: samples.pop(0))
    meter = UsageMeter(engine, "container")
    while samples:
        meter.sample()
    assert meter.measures() == {"peak_memory_mib": 5.0, "cpu_s": 3.0}


def waits(process: Process) -> Any:
    """Handle a signal by ending, if it is SIGTERM."""
    process.handle("SIGTERM", "SIGINT")
    while (yield) != "SIGTERM":
        pass
    return 7


@pytest.mark.parametrize(("signal", "exit_code"), [("SIGTERM", 7), ("SIGINT", 137), ("SIGKILL", 137)])
def test_a_container_is_stopped_first_by_its_signal_then_by_force(
    logs: OutputLogs, signal: str, exit_code: int
) -> None:
    engine = FakeEngine({"image": FakeImage({"waits": waits}, ["waits"])})
    container = engine.create(ContainerSpec("image"))
    engine.start(container.id)
    follower = Follower(engine, container.id, logs=logs, output=engine.follow(container.id), on_change=lambda: None)
    follower.stop(signal, grace_s=0.2)
    assert follower.result().exit_code == exit_code


class RefusingEngine(FakeEngine):
    """An engine that refuses every signal but one."""

    def stop(self, container_id: str, signal: str, grace_s: float) -> None:
        if signal != "SIGKILL":
            raise EngineError(f"{signal} is refused")
        super().stop(container_id, signal, grace_s)


def test_a_container_whose_signal_the_engine_refuses_is_stopped_by_force(logs: OutputLogs) -> None:
    engine = RefusingEngine({"image": FakeImage({"waits": waits}, ["waits"])})
    container = engine.create(ContainerSpec("image"))
    engine.start(container.id)
    follower = Follower(engine, container.id, logs=logs, output=engine.follow(container.id), on_change=lambda: None)
    follower.stop("SIGNOSUCH", grace_s=0.2)
    assert follower.result().exit_code == 137


def test_a_container_that_waits_is_measured_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand silent containers must not keep engine and host busy."""

    class Ended(threading.Event):
        """Never set, and waits in no time."""

        waits_s: list[float] = []  # noqa: RUF012 - a fake of one test

        def wait(self, timeout: float | None = None) -> bool:
            now[0] += timeout or 0.0
            self.waits_s.append(timeout or 0.0)
            return now[0] > 3600

    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    ended = Ended()
    UsageMeter(FakeEngine(), "none").sample_until(ended)
    assert ended.waits_s[0] == pytest.approx(0.1)
    assert max(ended.waits_s) == pytest.approx(10.0)
    assert sum(wait_s <= 1.0 for wait_s in ended.waits_s) < 30
    assert len(ended.waits_s) < 450
