"""The peers' figures are those of their processes and rounds; they are written into the documentation unchecked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest
from peer_rounds import timed
from peers.database import Database
from peers.figures import as_markdown, draw, in_short, median, replaced, with_rows
from peers.services import REPOSITORY, RunRecord
from peers.shapes import SHAPES, number_of
from peers.usage import Process, Sample, descendants, processor_s, read_processes, sampled, summarize
from running_stack import BenchmarkError


def run(peer: str, shape: str, seconds: float, number: int = 0, **others: float) -> dict[str, Any]:
    figures = {"to_start_s": 0.4, "processor_s": 2.0, "database_processor_s": 0.5, "peak_mib": 700}
    return {
        "peer": peer,
        "shape": shape,
        "seconds": seconds,
        "round": number,
        "load_before": 0.2,
        "started_peak_mib": 120,
        **figures,
        **others,
    }


RESULT = {
    "date": "2024-01-31",
    "machine": {"processors": 2, "memory_mib": 8192},
    "versions": {"airflow": {"apache-airflow": "3.1"}, "drayage": {"drayage": "0.1"}},
    "runs": [
        *(run("airflow", "fan_of_20", seconds, number) for number, seconds in enumerate((9.0, 7.0, 8.0))),
        *(run("drayage", "fan_of_20", seconds, number) for number, seconds in enumerate((3.0, 20.0, 6.0))),
        run("drayage", "fan_of_200", 40.0, started_peak_mib=301),
    ],
}


def test_each_step_of_a_shape_reports_another_number() -> None:
    assert {shape: len(steps) for shape, steps in SHAPES.items()} == {
        "chain_of_5": 5,
        "fan_of_20": 20,
        "fan_of_200": 200,
    }
    for steps in SHAPES.values():
        assert len({number_of(step) for step in steps}) == len(steps)


def test_a_peer_is_compared_with_airflow_median_by_median() -> None:
    assert median(RESULT, "drayage", "fan_of_20", "seconds") == pytest.approx(6.0)
    assert median(RESULT, "drayage", "fan_of_20", "ratio") == pytest.approx(6.0 / 8.0)
    assert median(RESULT, "drayage", "fan_of_200", "ratio") is None
    assert median(RESULT, "dagster", "fan_of_20", "seconds") is None


def test_the_tables_show_every_round_and_which_aims_are_not_met() -> None:
    lines = as_markdown(RESULT).splitlines()
    assert "| fan-out of 20 | Airflow | 8.0 | 7.0, 8.0, 9.0 | 1.00 | 0.4 | 2.0 | 0.5 | 700 | 120 |" in lines
    assert "| fan-out of 20 | Drayage | 6.0 | 3.0, 6.0, 20.0 | 0.75 | 0.4 | 2.0 | 0.5 | 700 | 120 |" in lines
    assert "| fan-out of 20: 0.8 of Airflow | 0.75 |" in lines
    assert "| fan-out of 20: 5 s | 6.0, not met |" in lines
    assert "| fan-out of 200: 300 MiB of the run's process | 301, not met |" in lines
    assert not [line for line in lines if "fan-out of 200: 0.8" in line]
    assert "medians of 3 rounds" in lines[0]
    assert "load before each run 0.2 to 0.2;" in lines[1]
    assert lines[2] == "apache-airflow 3.1, drayage 0.1."


def test_the_readme_has_a_row_for_each_shape_in_the_order_of_its_columns() -> None:
    rows = in_short(RESULT)
    assert rows[0] == "| Fan-out of 20 small steps, trigger to end | 6.0 s | \N{EN DASH} | \N{EN DASH} | 8.0 s |"
    document = "| a | b |\n| Fan-out of 20 small steps, trigger to end | old |\n| c | d |"
    assert with_rows(document, rows[:1]) == f"| a | b |\n{rows[0]}\n| c | d |"
    with pytest.raises(BenchmarkError, match="Expected one row"):
        with_rows(document, rows)


def test_the_tables_replace_what_was_between_the_marks() -> None:
    marked = "before\n<!-- peers: begin -->\nold\n<!-- peers: end -->\nafter"
    assert replaced(marked, "new") == "before\n<!-- peers: begin -->\nnew\n<!-- peers: end -->\nafter"
    with pytest.raises(BenchmarkError, match="add them"):
        replaced("no marks", "new")


def test_the_picture_has_the_seconds_on_its_bars() -> None:
    svg = draw(RESULT).render()
    for text in (b"8.0 s", b"6.0 s", b"Airflow", b"Drayage", b"fan-out of 20"):
        assert text in svg
    with pytest.raises(BenchmarkError, match="measure it too"):
        draw({**RESULT, "runs": [run("drayage", "fan_of_20", 1.0)]})


def test_processor_seconds_are_those_of_descendants_living_and_ended() -> None:
    processes = {
        1: Process(0, 100.0, 100.0),
        2: Process(1, 7.0, 1.0),
        3: Process(2, 2.0, 0.5),
        4: Process(3, 0.25, 0.0),
        5: Process(1, 50.0, 0.0),
    }
    assert descendants(processes, 2) == {3, 4}
    # 1.0 of those that ended, and of the living 2.0 with 0.5 of their ended ones, and 0.25.
    assert processor_s(processes, 2, {3, 4}) == pytest.approx(3.75)


def test_usage_is_that_between_the_two_moments() -> None:
    def sample(at: float, processor_s: float, **memory: float) -> Sample:
        return Sample(at, processor_s, processor_s / 10, {int(it[1:]): mib for it, mib in memory.items()})

    samples = [
        sample(1.0, 0.0, _1=900.0),
        sample(2.0, 10.0, _1=100.0),
        sample(3.0, 11.0, _1=100.0, _2=50.0, _3=30.0),
        sample(4.0, 14.0, _1=150.0, _2=60.0),
        sample(5.0, 99.0, _1=900.0, _2=900.0),
    ]
    assert summarize(samples, began=2.5, ended=3.9) == {
        "processor_s": 4.0,
        "database_processor_s": 0.4,
        "peak_mib": 210,
        "started_peak_mib": 80,
        "started_most": 2,
        "samples": 3,
    }


def test_a_child_is_seen_while_it_lives_and_counted_after_its_end() -> None:
    work = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint(); input()"
    command = [sys.executable, "-c", work]
    with (
        sampled(os.getpid()) as samples,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,  # noqa: S603 - ours
    ):
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in descendants(read_processes(), os.getpid())
        with sampled(os.getpid()) as meanwhile:
            pass
        assert meanwhile[0].memory_mib[child.pid] > 1
    first, last = samples[0], samples[-1]
    assert last.processor_s - first.processor_s >= 0.3 - 0.02
    assert child.pid not in last.memory_mib


def test_dagster_and_drayage_have_the_same_dagster() -> None:
    def versions(lock: str) -> dict[str, str]:
        lines = (REPOSITORY / lock).read_text(encoding="utf-8").splitlines()
        pins = (line.removesuffix(" \\").split("==") for line in lines if line.startswith("dagster"))
        return dict(pins)

    stock = versions("benchmark/peers/dagster.lock")
    assert stock
    assert stock.items() <= versions("host/requirements.lock").items()


class Ended:
    """A service whose runs have ended as soon as they are created."""

    def __init__(self, status: str, **numbers: int | None) -> None:
        self._status = status
        reported = {step: number_of(step) for step in SHAPES["chain_of_5"]} | numbers
        self._numbers = {step: number for step, number in reported.items() if number is not None}

    def trigger(self, shape: str) -> str:
        self._at = time.time()
        return shape

    def status(self, shape: str, run: str) -> str:  # noqa: ARG002 - as services are asked
        return self._status

    def record(self, shape: str, run: str) -> RunRecord:  # noqa: ARG002 - as above
        return RunRecord(self._at + 0.25, self._at + 2.5, self._numbers)


DATABASE = Database(port=1, password="", process=os.getpid())


def test_a_run_takes_from_the_trigger_to_the_recorded_end() -> None:
    figures = timed(Ended("success"), DATABASE, "chain_of_5")
    assert figures["to_start_s"] == pytest.approx(0.25, abs=0.2)
    assert figures["seconds"] == pytest.approx(2.5, abs=0.2)


@pytest.mark.parametrize(
    ("service", "got"),
    [
        (Ended("failure"), "ended with failure"),
        (Ended("success", chain_3=7), "instead: {'chain_3': 7}"),
        (Ended("success", chain_0=None), "instead: {'chain_0': None}"),
    ],
    ids=["failed", "other number", "no number"],
)
def test_a_run_that_fails_or_lacks_a_number_is_no_figure(service: Ended, got: str) -> None:
    with pytest.raises(BenchmarkError, match=re.escape(got)):
        timed(service, DATABASE, "chain_of_5")
