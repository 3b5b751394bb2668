"""The benchmark's tables show how long its runs took; they are pasted into docs/performance.md unchecked."""

from __future__ import annotations

from typing import Any

import pytest
from bare_steps import RecordedContainer
from report import as_markdown, draw_seconds, rest_s, typical_runs

MACHINE = {"processors": 2, "memory_mib": 8192, "architecture": "x86_64", "load_before": 0.1}


def run(way: str, events: int, wall_s: float, **seconds: float) -> dict[str, Any]:
    steps = [{"step": name, "seconds": taken, "peak_memory_mib": 100.4} for name, taken in seconds.items()]
    return {"way": way, "events": events, "wall_s": wall_s, "steps": steps}


def test_the_typical_run_is_the_median_and_the_slower_of_two_middle_ones() -> None:
    runs = [run("pipeline", 10, wall_s) for wall_s in (9.0, 5.0, 7.0)] + [run("bare", 10, 3.0), run("bare", 10, 4.0)]
    assert {key: found["wall_s"] for key, found in typical_runs(runs).items()} == {
        ("pipeline", 10): 7.0,
        ("bare", 10): 4.0,
    }


def test_time_outside_all_steps_is_the_rest() -> None:
    assert rest_s(run("pipeline", 10, 10.0, bronze=3.0, silver=4.5)) == pytest.approx(2.5)


def test_the_tables_compare_every_way_with_the_pipeline_of_the_same_events() -> None:
    result = {
        "date": "2024-01-31",
        "machine": MACHINE,
        "runs": [
            run("pipeline", 1_000, 10.0, bronze=3.0),
            run("old way", 1_000, 85.0, wait=60.0),
            run("pipeline", 10_000, 20.0, bronze=8.0, silver=5.0) | {"published_s": 16.04},
        ],
        "generator": {
            "events": 5,
            "median": {"generator": 40.0, "librdkafka": 80.0},
            "to_librdkafka": {"generator": 0.5, "librdkafka": 1.0},
        },
    }
    lines = as_markdown(result).splitlines()
    assert "| old way | 1,000 | - | 85.0 | 85.0 | 12 | 8.50 |" in lines
    assert "| pipeline | 10,000 | 16.0 | 20.0 | 20.0 | 500 | 1.00 |" in lines
    assert "| bronze | 3.0 | 8.0 |" in lines
    assert "| between and around the steps | 7.0 | 7.0 |" in lines
    assert "| bronze | 100 | 100 |" in lines
    assert "| silver | - | 100 |" in lines
    assert "| generator | 40 | 0.50 |" in lines
    assert "load before: 0.1" in lines[0]


def test_the_picture_has_a_bar_for_each_step_and_the_rest() -> None:
    svg = draw_seconds("Seconds", [run("pipeline", 10, 10.0, bronze=3.0), run("bare", 10, 4.0, silver=4.0)]).render()
    for name in (b"bronze", b"silver", b"between and around the steps", b"bare, 10"):
        assert name in svg


def test_a_recorded_context_is_reused_for_another_month_and_nothing_else_changes() -> None:
    context = {
        "asset_keys": ["generate_events"],
        "partition_key": "2024-01",
        "partition_key_range": {"start": "2024-01", "end": "2024-01"},
        "partition_time_window": {"start": "2024-01-01", "end": "2024-02-01"},
        "extras": {"topic": "taxi", "events": 7},
    }
    changed = RecordedContainer({}, context).context_of("2023-05", {})
    assert changed == {
        **context,
        "partition_key": "2023-05",
        "partition_key_range": {"start": "2023-05", "end": "2023-05"},
        "partition_time_window": None,
    }


def test_a_step_without_a_month_gets_none() -> None:
    context = {"partition_key": None, "partition_key_range": None, "extras": {"topic": "taxi", "events": 7}}
    changed = RecordedContainer({}, context).context_of("2023-05", {"topic": "other"})
    assert changed["partition_key"] is None
    assert changed["extras"] == {"topic": "other", "events": 7}
