"""Writes the benchmark's result: JSON, two pictures, and the Markdown for docs/performance.md."""

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pygal
from pygal.style import Style

RESULTS = Path(__file__).resolve().parent / "results"

_STYLE = Style(background="white", plot_background="white", font_family="sans-serif")
_REST = "between and around the steps"


def write_results(result: dict[str, Any]) -> Path:
    """Write a result and its pictures.

    Args:
        result: The result that ``pipeline.py`` builds.

    Returns:
        Path of the JSON file; the pictures are beside it.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"pipeline-{time.strftime('%Y%m%dT%H%M%S')}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    typical = list(typical_runs(result["runs"]).values())
    compared = result["runs"][0]["events"]
    for name, title, runs in (
        ("ways", f"Seconds for {compared:,} events", [run for run in typical if run["events"] == compared]),
        ("sizes", "Seconds through Dagster, by events", [run for run in typical if run["way"] == "pipeline"]),
    ):
        draw_seconds(title, runs).render_to_file(str(path.with_name(f"{path.stem}-{name}.svg")))
    return path


def typical_runs(runs: Sequence[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    """Choose, for each way and number of events, the run with the median wall time, or the slower of two middle ones.

    Args:
        runs: The runs.

    Returns:
        The chosen runs by way and number of events.
    """
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for run in runs:
        found.setdefault((run["way"], run["events"]), []).append(run)
    return {
        key: next(run for run in same if run["wall_s"] == statistics.median_high([run["wall_s"] for run in same]))
        for key, same in found.items()
    }


def draw_seconds(title: str, runs: Sequence[dict[str, Any]]) -> Any:
    """Draw one bar for each run, with its steps stacked.

    Args:
        title: Title of the chart.
        runs: The runs.

    Returns:
        The chart.
    """
    chart = pygal.HorizontalStackedBar(
        title=title,
        style=_STYLE,
        width=900,
        height=110 * len(runs) + 220,
        js=(),
        legend_at_bottom=True,
        truncate_label=-1,
        truncate_legend=-1,
        legend_at_bottom_columns=3,
    )
    chart.x_labels = [f"{run['way']}, {run['events']:,}" for run in runs]
    names = list(dict.fromkeys(step["step"] for run in runs for step in run["steps"]))
    for name in names:
        chart.add(name, [_reported(run, name, "seconds") for run in runs])
    chart.add(_REST, [rest_s(run) for run in runs])
    return chart


def rest_s(run: dict[str, Any]) -> float:
    """Return the seconds of a run outside its steps.

    Args:
        run: The run.
    """
    return round(max(0.0, run["wall_s"] - sum(step["seconds"] for step in run["steps"])), 2)


def as_markdown(result: dict[str, Any]) -> str:
    """Return the figures as tables for docs/performance.md, with machine and date.

    Args:
        result: The result that ``pipeline.py`` builds.
    """
    machine = result["machine"]
    head = (
        f"{result['date']}, {machine['processors']} processors, {machine['memory_mib'] / 1024:.0f} GiB, "
        f"{machine['architecture']}; load before: {machine['load_before']}. Medians where there were several runs."
    )
    typical = typical_runs(result["runs"])
    parts = [head, _ways_table(list(typical.values()), result["runs"])]
    parts += [_steps_table(list(typical.values()), way) for way in dict.fromkeys(way for way, _ in typical)]
    parts.append(_memory_table([run for (way, _), run in typical.items() if way == "pipeline"]))
    if result.get("generator"):
        parts.append(_generator_table(result["generator"]))
    return "\n\n".join(parts)


def _ways_table(typical: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]]) -> str:
    base = {run["events"]: run["wall_s"] for run in typical if run["way"] == "pipeline"}
    rows = []
    for run in typical:
        walls = sorted(r["wall_s"] for r in runs if (r["way"], r["events"]) == (run["way"], run["events"]))
        published = _figure(run.get("published_s"), 1)
        ratio = run["wall_s"] / base[run["events"]]
        rate = run["events"] / run["wall_s"]
        all_s = ", ".join(f"{wall:.1f}" for wall in walls)
        wall = f"{run['wall_s']:.1f}"
        rows.append([run["way"], f"{run['events']:,}", published, wall, all_s, f"{rate:,.0f}", f"{ratio:.2f}"])
    return _table(["way", "events", "s to marts", "s to end", "all to end", "events/s", "of the pipeline"], rows)


def _steps_table(typical: Sequence[dict[str, Any]], way: str) -> str:
    runs = [run for run in typical if run["way"] == way]
    names = list(dict.fromkeys(step["step"] for run in runs for step in run["steps"]))
    rows = [[name, *(_figure(_reported(run, name, "seconds"), 1) for run in runs)] for name in names]
    rows.append([_REST, *(_figure(rest_s(run), 1) for run in runs)])
    return _table([f"seconds, {way}", *(f"{run['events']:,} events" for run in runs)], rows)


def _memory_table(runs: Sequence[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(step["step"] for run in runs for step in run["steps"]))
    rows = [[name, *(_figure(_reported(run, name, "peak_memory_mib"), 0) for run in runs)] for name in names]
    return _table(["peak memory of the step, MiB", *(f"{run['events']:,} events" for run in runs)], rows)


def _generator_table(generator: dict[str, Any]) -> str:
    rows = [
        [way, f"{median:,.0f}", f"{generator['to_librdkafka'][way]:.2f}"] for way, median in generator["median"].items()
    ]
    return _table([f"sending {generator['events']:,} events", "events/s", "of librdkafka"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *(["---:"] * (len(head) - 1))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _reported(run: dict[str, Any], step: str, number: str) -> float | None:
    return next((found.get(number) for found in run["steps"] if found["step"] == step), None)
