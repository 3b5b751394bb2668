"""Compares generator, bronze, silver and marts over the last runs, which Dagster's own plots cannot do."""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from nyc_taxi.keys import OWNERS, THROUGHPUT
from nyc_taxi.rates import STAGES, RunRates, read_rates

_LAST_RUNS = 8
_GUIDE = "#DDDDDD"
_COLOURS = ("#4C78A8", "#B07D46", "#8C9BA8", "#E0A82E")


@dg.asset(
    key=THROUGHPUT,
    deps=[stage.asset for stage in STAGES],
    group_name="reports",
    kinds={"python"},
    owners=OWNERS,
    tags={"layer": "report"},
    code_version="1",
    # The resource that tags the run.
    required_resource_keys={"services"},
    description=(
        f"Events and rows a second of generator, bronze, silver and marts over the last {_LAST_RUNS} runs, and each "
        "step's seconds: pictures and a table in the metadata. Read from Dagster's event log, in the host's process."
    ),
)
def throughput(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """Draw and list the last runs.

    Args:
        context: Dagster's context of the step.

    Returns:
        The pictures, the table and the rates of the newest run.

    Raises:
        dagster.Failure: No run has materialized any of the stages yet.
    """
    runs = read_rates(context.instance, last=_LAST_RUNS)
    if not runs:
        raise dg.Failure(
            "No run has materialized any of "
            f"{', '.join(stage.asset.to_user_string() for stage in STAGES)} yet, so there is nothing to compare. "
            "Run the job taxi_pipeline for a month first."
        )
    pictures = [
        _picture("Events or rows a second (logarithmic)", runs, lambda run: run.rates, stacked=False),
        _picture("Seconds of each step", runs, lambda run: run.seconds, stacked=True),
    ]
    return dg.MaterializeResult(
        metadata={
            "picture": dg.MetadataValue.md("\n\n".join(pictures)),
            "last_runs": dg.MetadataValue.table([_row(run) for run in reversed(runs)], _schema()),
            # Plain numbers too, which Dagster plots over time. A stage that the newest run left out has none.
            **{f"{stage}_per_second": rate for stage, rate in runs[-1].rates.items()},
        }
    )


def _picture(
    title: str, runs: Sequence[RunRates], values: Callable[[RunRates], Mapping[str, float]], *, stacked: bool
) -> str:
    """Draw a bar chart as a Markdown image.

    Args:
        title: The title.
        runs: The runs; each is a group, or a stack, of its stages.
        values: Returns a run's numbers by stage.
        stacked: Whether the stages of a run are stacked; if not, the axis is logarithmic.
    """
    # Only this step draws: the processes of the other steps need not load pygal.
    import pygal  # noqa: PLC0415
    from pygal.style import Style  # noqa: PLC0415

    style = Style(
        colors=_COLOURS,
        background="white",
        plot_background="white",
        font_family="sans-serif",
        opacity=".9",
        guide_stroke_color=_GUIDE,
        major_guide_stroke_color=_GUIDE,
        title_font_size=13,
        legend_font_size=10,
        label_font_size=9,
        major_label_font_size=9,
    )
    options = {
        "title": title,
        "style": style,
        # The width of the window in which Dagster shows Markdown: anything wider is scaled down and cannot be read.
        "width": 360,
        "height": 270,
        "explicit_size": True,
        "margin": 4,
        "legend_at_bottom": True,
        "legend_at_bottom_columns": len(STAGES),
        "legend_box_size": 9,
        "truncate_legend": -1,
        "x_label_rotation": 40,
        "js": (),
    }
    if stacked:
        chart = pygal.StackedBar(**options)
    else:
        decades = _decades([rate for run in runs for rate in values(run).values()])
        chart = pygal.Bar(
            logarithmic=True, zero=decades[0], range=(decades[0], decades[-1]), y_labels=decades, **options
        )
    chart.x_labels = [f"{run.month} {_clock(run)}" for run in runs]
    for stage in STAGES:
        chart.add(stage.name, [values(run).get(stage.name) for run in runs])
    encoded = base64.b64encode(chart.render()).decode()
    return f"![{title}](data:image/svg+xml;base64,{encoded})"


def _decades(rates: Sequence[float]) -> list[float]:
    """Return the powers of ten around the rates, low enough for the bar of the slowest to have a height."""
    positive = [rate for rate in rates if rate > 0] or [1.0]
    lowest, highest = math.floor(math.log10(min(positive) / 2)), math.ceil(math.log10(max(positive)))
    return [10.0**exponent for exponent in range(lowest, highest + 1)]


def _schema() -> dg.TableSchema:
    # Short names, because the table in the UI is narrow.
    rates = [dg.TableColumn(f"{stage.name}/s", "float", f"Of {stage.asset.to_user_string()}.") for stage in STAGES]
    seconds = [dg.TableColumn(f"{stage.name} s", "float", f"Seconds of {stage.step}.") for stage in STAGES]
    return dg.TableSchema([*map(dg.TableColumn, ("run", "ended", "month")), *rates, *seconds])


def _row(run: RunRates) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "run": run.run_id[:8],
            "ended": f"{_moment(run):%Y-%m-%d %H:%M}",
            "month": run.month,
            **{f"{stage.name}/s": run.rates.get(stage.name) for stage in STAGES},
            **{f"{stage.name} s": run.seconds.get(stage.name) for stage in STAGES},
        }
    )


def _moment(run: RunRates) -> datetime:
    return datetime.fromtimestamp(run.ended_at_s, tz=UTC)


def _clock(run: RunRates) -> str:
    return f"{_moment(run):%H:%M}"
