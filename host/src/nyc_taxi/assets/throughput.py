"""Generator, bronze, silver and marts side by side over the last runs, which Dagster's own plots cannot show."""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from nyc_taxi.keys import THROUGHPUT
from nyc_taxi.rates import STAGES, RunRates, read_rates

_LAST_RUNS = 8
_GUIDE = "#DDDDDD"
_COLOURS = ("#4C78A8", "#B07D46", "#8C9BA8", "#E0A82E")


@dg.asset(
    key=THROUGHPUT,
    deps=[stage.asset for stage in STAGES],
    group_name="reports",
    kinds={"python"},
    owners=["team:taxi"],
    tags={"layer": "report"},
    code_version="1",
    # It is what puts the tags on a run.
    required_resource_keys={"services"},
    description=(
        f"Events and rows a second of generator, bronze, silver and marts over the last {_LAST_RUNS} runs, and each "
        "step's seconds: a picture and a table in the metadata. Read from Dagster's event log, in the host's process."
    ),
)
def throughput(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """Draw and list the last runs."""
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
            # Plain numbers too: Dagster plots them over time. What the newest run left out was not measured.
            **{f"{stage}_per_second": rate for stage, rate in runs[-1].rates.items()},
        }
    )


def _picture(
    title: str, runs: Sequence[RunRates], values: Callable[[RunRates], Mapping[str, float]], *, stacked: bool
) -> str:
    """A bar chart as a Markdown image; every run is a group, or a stack, of its stages."""
    # Only this step draws: the other steps' processes need not load it.
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
        # The window in which Dagster shows Markdown is so wide: anything wider is scaled down until nobody can read it.
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
    """The powers of ten around the rates: the slowest one's bar has a height then too."""
    positive = [rate for rate in rates if rate > 0] or [1.0]
    lowest, highest = math.floor(math.log10(min(positive) / 2)), math.ceil(math.log10(max(positive)))
    return [10.0**exponent for exponent in range(lowest, highest + 1)]


def _schema() -> dg.TableSchema:
    # Short names: all of them stand side by side in the UI's narrow table.
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
