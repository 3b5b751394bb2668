"""``drayage conform``: whether images keep the workload contract."""

from pathlib import Path
from typing import Annotated

import typer

from drayage.cli.screen import EXIT_BAD, EXIT_USAGE, AsJson, Setup, note, print_json, print_table
from drayage.conform.bench import Bench, Report
from drayage.conform.scenarios import SCENARIOS, Scenario
from drayage.conform.table import Column, rows, write_markdown
from drayage.docker_debug import DockerDebugger

LANGUAGE_LABEL = "drayage/language"


def conform(
    ctx: typer.Context,
    images: Annotated[list[str], typer.Argument(help="Images that do what docs/workload-contract.md demands.")],
    *,
    scenario: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="A Markdown file whose conformance table is written anew.", exists=True)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run images through the scenarios of the workload contract; exit code 1 if one of them does not hold."""
    setup: Setup = ctx.obj
    chosen = _chosen(scenario or [])
    columns = [_column(setup, image, chosen) for image in images]
    if as_json:
        print_json([column.as_json() for column in columns])
    else:
        print_table(rows(columns), columns=["scenario", *(column.title for column in columns)])
    if table is not None:
        write_markdown(table, columns)
    if not all(column.holds for column in columns):
        raise typer.Exit(EXIT_BAD)


def _chosen(names: list[str]) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    unknown = [name for name in names if name not in known]
    if unknown:
        typer.secho(f"Unknown scenario {unknown[0]!r}; expected one of: {', '.join(known)}.", err=True, fg="red")
        raise typer.Exit(EXIT_USAGE)
    return [known[name] for name in names] or list(SCENARIOS)


def _column(setup: Setup, image: str, scenarios: list[Scenario]) -> Column:
    setup.engine.image_id(image, pull="missing")
    size_bytes, labels = DockerDebugger().image_facts(image)
    reports = []
    with Bench(image, exchange_root=setup.settings.exchange_root) as bench:
        for scenario in scenarios:
            reports.append(bench.run(scenario))
            _tell(reports[-1])
    return Column(labels.get(LANGUAGE_LABEL, image), image, size_bytes, reports)


def _tell(report: Report) -> None:
    note(f"{report.image}, {report.scenario}: {'holds' if report.holds else 'FAILS'}")
    for failure in report.failures:
        typer.secho(f"  {failure}", err=True, fg="red")
