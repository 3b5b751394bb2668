"""Runs the scenarios of ``drayage conform``; apart from the command, because importing Dagster takes seconds."""

import typer

from drayage.cli.screen import EXIT_USAGE, Setup, note
from drayage.conform.bench import Bench, Report
from drayage.conform.scenarios import SCENARIOS, Scenario
from drayage.conform.table import Column

LANGUAGE_LABEL = "drayage/language"


def chosen(names: list[str]) -> list[Scenario]:
    """Return the scenarios with these names, or all of them if there are no names.

    Args:
        names: Names of scenarios.

    Raises:
        typer.Exit: There is no scenario with one of the names.
    """
    known = {scenario.name: scenario for scenario in SCENARIOS}
    unknown = [name for name in names if name not in known]
    if unknown:
        typer.secho(f"Unknown scenario {unknown[0]!r}; expected one of: {', '.join(known)}.", err=True, fg="red")
        raise typer.Exit(EXIT_USAGE)
    return [known[name] for name in names] or list(SCENARIOS)


def column(setup: Setup, image: str, scenarios: list[Scenario]) -> Column:
    """Run an image through scenarios, and print the result of each to standard error.

    Args:
        setup: The command's settings and engine.
        image: Name or id of the image.
        scenarios: The scenarios.

    Returns:
        The image's column of the conformance table.

    Raises:
        EngineError: The engine does not answer, or has no such image.
    """
    setup.engine.resolve(image, pull="missing")
    size_bytes, labels = setup.debugger.image_facts(image)
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
