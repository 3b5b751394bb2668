"""The keeper on a pool in memory: when it makes run workers, and which it lets go."""

import logging
from collections.abc import Iterator
from threading import Event
from typing import Any

import dagster as dg
import pytest
from blueprints import blueprint

from drayage.dagster_internals.run_tags import name_container
from drayage.engine import Found
from drayage.errors import EngineError
from drayage.identity import STANDBY, STANDBY_S
from drayage.launcher.keeper import Keeper
from drayage.launcher.pool import LOGGER, Condition, Worker

NOW = blueprint()
OLD = blueprint(image_id="sha256:0")


class FakePool:
    """Run workers in memory."""

    def __init__(self, clock: "Clock") -> None:
        self.clock = clock
        self.present: list[Worker] = []
        self.named: list[str] = []
        self.refusal: EngineError | None = None

    def add(self, key: str = NOW.key, condition: Condition = "ready", age_s: float = 0.0) -> Worker:
        number = f"{len(self.present) + len(self.named):064x}"
        found = Found(number, "d-standby-x-0", "host", "running", self.clock.now_s - age_s, {STANDBY: key})
        self.present.append(Worker(found, condition))
        return self.present[-1]

    def workers(self) -> list[Worker]:
        return list(self.present)

    def make(self, what: Any, places: int) -> str | None:
        if self.refusal:
            raise self.refusal
        assert len([it for it in self.present if it.key == what.key]) < places
        return self.add(what.key, "loading").found.id

    def dismiss(self, worker: Worker) -> bool:
        self.present.remove(worker)
        return True

    def remove(self, worker: Worker) -> str:
        self.present.remove(worker)
        return "its last words"

    def name_after_run(self, worker: Worker) -> None:
        self.present.remove(worker)
        self.named.append(worker.found.id)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1e9

    def __call__(self) -> float:
        return self.now_s


class Kept:
    """A keeper, with what it works on."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.clock = Clock()
        self.pool = FakePool(self.clock)
        self.blueprints = [NOW]
        self.instance = instance
        self.keeper = Keeper(
            self.pool,  # type: ignore[arg-type]
            lambda: self.blueprints,
            instance,
            standby=1,
            clock=self.clock,
        )

    def conditions(self) -> list[Condition]:
        return [it.condition for it in self.pool.present]

    def run(self, *events: str, age_s: float = 0.0) -> str:
        """Record a run with these events, some time ago."""
        run = self.instance.create_run_for_job(dg.job(name="kept")(lambda: None))
        for kind in events:
            entry = dg.EventLogEntry(
                error_info=None,
                level=logging.INFO,
                user_message="",
                run_id=run.run_id,
                timestamp=self.clock.now_s - age_s,
                job_name="kept",
                step_key="s" if kind == "STEP_START" else None,
                dagster_event=dg.DagsterEvent(kind, "kept", step_key="s" if kind == "STEP_START" else None),
            )
            self.instance.handle_new_event(entry)
        return run.run_id


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [it.getMessage() for it in caplog.records if it.levelno > logging.INFO]


@pytest.fixture
def kept() -> Iterator[Kept]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Kept(instance)


def test_what_is_missing_is_made_and_no_more(kept: Kept) -> None:
    assert not kept.keeper.tend()
    assert kept.conditions() == ["loading"]
    assert kept.keeper.tend()
    assert kept.conditions() == ["loading"]


@pytest.mark.parametrize("events", [["PIPELINE_STARTING"], ["PIPELINE_STARTING", "PIPELINE_START"]])
def test_a_run_that_has_not_begun_its_steps_goes_first(kept: Kept, events: list[str]) -> None:
    kept.run(*events)
    assert not kept.keeper.tend()
    assert kept.conditions() == []


def test_steps_that_have_just_begun_go_first_too(kept: Kept) -> None:
    kept.run("PIPELINE_STARTING", "PIPELINE_START", "STEP_START")
    kept.keeper.tend()
    assert kept.conditions() == []
    kept.clock.now_s += 4
    kept.keeper.tend()
    assert kept.conditions() == ["loading"]


def test_no_run_is_waited_for_without_end(kept: Kept) -> None:
    kept.run("PIPELINE_STARTING")
    kept.keeper.tend()
    kept.clock.now_s += 31
    kept.keeper.tend()
    assert kept.conditions() == ["loading"]


def test_a_run_that_began_long_ago_is_not_waited_for(kept: Kept) -> None:
    """It may be one without steps, or one whose steps all wait for a pool."""
    kept.run("PIPELINE_STARTING", "PIPELINE_START", age_s=31)
    kept.keeper.tend()
    assert kept.conditions() == ["loading"]


def test_one_that_is_too_old_for_a_run_is_dismissed(kept: Kept) -> None:
    kept.pool.add(OLD.key)
    kept.keeper.tend()
    assert [it.key for it in kept.pool.present] == [NOW.key]


def test_one_that_is_too_old_but_loads_is_dismissed_when_it_can_hear(kept: Kept) -> None:
    old = kept.pool.add(OLD.key, "loading")
    kept.keeper.tend()
    assert old not in kept.pool.present or old.condition == "loading"
    kept.pool.present[kept.pool.present.index(old)] = Worker(old.found, "ready")
    kept.keeper.tend()
    assert [it.key for it in kept.pool.present] == [NOW.key]


def test_one_too_many_is_dismissed(kept: Kept) -> None:
    first = kept.pool.add()
    kept.pool.add()
    assert kept.keeper.tend()
    assert kept.pool.present == [first]


def test_one_that_will_soon_have_waited_long_enough_is_renewed(kept: Kept) -> None:
    """It would end by itself, at a moment that nobody chose."""
    kept.pool.add(age_s=0.95 * STANDBY_S)
    kept.keeper.tend()
    assert kept.conditions() == ["loading"]


def test_one_that_loads_for_ever_is_removed(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    kept.pool.add(condition="loading", age_s=181)
    kept.keeper.tend()
    assert kept.conditions() == []
    assert "had not loaded after 180 s. its last words" in caplog.text


def test_one_that_has_a_run_gets_its_name_and_is_replaced(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    taken = kept.pool.add(condition="taken")
    kept.keeper.tend()
    assert kept.pool.named == [taken.found.id]
    assert kept.conditions() == ["loading"]
    assert warnings(caplog) == []


def test_one_that_ended_is_noticed_and_the_next_one_is_made_later(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    kept.pool.add(condition="ended")
    kept.keeper.tend()
    assert "ended without a run: its last words" in caplog.text
    assert kept.conditions() == []
    kept.clock.now_s += 6
    kept.keeper.tend()
    assert kept.conditions() == ["loading"]


def test_the_pauses_after_deaths_grow_until_one_has_lived(kept: Kept) -> None:
    waited_s = []
    for _ in range(9):
        kept.pool.add(condition="ended")
        kept.keeper.tend()
        began_s = kept.clock.now_s
        while not kept.pool.present:
            kept.clock.now_s += 1
            kept.keeper.tend()
        waited_s.append(kept.clock.now_s - began_s)
        kept.keeper.tend()
        kept.pool.present.clear()
        kept.keeper._counted.clear()  # noqa: SLF001 - the death is told above, once
    assert waited_s == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    kept.pool.add(age_s=61)
    kept.keeper.tend()
    kept.pool.present.clear()
    kept.pool.add(condition="ended")
    kept.keeper._counted.clear()  # noqa: SLF001 - as above
    kept.keeper.tend()
    kept.clock.now_s += 5
    kept.keeper.tend()
    assert kept.conditions() == ["loading"]


def test_one_that_is_gone_without_a_run_is_noticed(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    worker = kept.pool.add()
    kept.keeper.tend()
    kept.pool.present.clear()
    kept.keeper.tend()
    assert f"Run worker {worker.found.short_id} on standby ended without a run" in caplog.text
    assert kept.conditions() == []


def test_one_that_is_gone_with_its_run_is_no_loss(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    worker = kept.pool.add()
    kept.keeper.tend()
    name_container(kept.instance, kept.run("PIPELINE_SUCCESS"), worker.found.id, "host")
    kept.pool.present.clear()
    kept.keeper.tend()
    assert warnings(caplog) == []
    assert kept.conditions() == ["loading"]


def test_one_that_was_dismissed_is_no_loss(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    kept.pool.add()
    kept.keeper.tend()
    kept.blueprints = [blueprint(image_id="sha256:2")]
    for _ in range(2):
        kept.keeper.tend()
    assert warnings(caplog) == []


def test_what_goes_wrong_is_logged_once_and_tried_again(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    ended = Event()
    asked = []

    def blueprints() -> list[Any]:
        asked.append(1)
        if len(asked) == 3:
            ended.set()
        raise LookupError("nothing is there")

    class Impatient(Event):
        def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - as the event's
            return ended.is_set()

        def is_set(self) -> bool:
            return ended.is_set()

    kept.keeper._blueprints = blueprints  # noqa: SLF001 - what it was made with
    with caplog.at_level(logging.WARNING, LOGGER):
        kept.keeper.run(Impatient())
    assert caplog.text.count("nothing is there") == 1


def test_what_cannot_be_made_is_tried_again_later(kept: Kept) -> None:
    kept.pool.refusal = EngineError("no")
    with pytest.raises(EngineError):
        kept.keeper.tend()
    kept.pool.refusal = None
    kept.keeper.tend()
    assert kept.conditions() == []
    kept.clock.now_s += 6
    kept.keeper.tend()
    assert kept.conditions() == ["loading"]
