"""One ``dbt build`` in this process."""

from pathlib import Path

from dagster_pipes import PipesContext
from dbt.adapters import duckdb as _adapter  # noqa: F401  loaded now; dbt would load it while the month waits
from dbt.cli.main import dbtRunner

from dbt_runner.errors import DbtError, what_helps
from dbt_runner.outcome import NodeOutcome
from dbt_runner.project import Project
from dbt_runner.reporter import Relations, Reporter, encode_vars
from dbt_runner.request import Request
from dbt_runner.settings import Settings


def invoke(
    pipes: PipesContext,
    request: Request,
    settings: Settings,
    project: Project,
    *,
    relations: Relations,
    scratch: Path,
) -> list[NodeOutcome]:
    """Run dbt on the project that the image's build parsed.

    Args:
        pipes: The step's Pipes context, where each node is reported when it ends.
        request: What to build.
        settings: The folders of the project and its profile.
        project: The parsed project.
        relations: Reads the relations that dbt has built.
        scratch: A folder for what dbt writes besides the marts.

    Returns:
        The result of each node, in the order in which they ended.

    Raises:
        DbtError: dbt gave up before every node had a result.
        RequestError: The project lacks requested nodes, or the step has no asset for a node that it builds.
    """
    project.require_asset_keys(
        request.select, [name for name in request.asset_keys if request.reportable_key(name) is not None]
    )
    selection = project.selection(request.select)
    reporter = Reporter(pipes, request, project, relations)
    result = dbtRunner(manifest=project.manifest, callbacks=[reporter]).invoke(
        [
            "build",
            "--project-dir", str(settings.dbt_project_dir),
            "--profiles-dir", str(settings.dbt_profiles_dir),
            "--target-path", str(scratch / "target"),
            "--log-path", str(scratch / "logs"),
            # The container's log has dbt's output; writing a second log at debug level takes a third of dbt's time.
            "--log-level-file", "none",
            "--no-use-colors",
            "--no-write-json",
            "--vars", encode_vars(request.vars),
            # A build of every month recreates the incremental table, with its current columns.
            *(() if request.months else ("--full-refresh",)),
            *selection,
        ]
    )  # fmt: skip
    if result.exception is not None:
        advice = what_helps(
            str(result.exception),
            "Its log in the step's stdout shows what it was doing; fix the cause and materialize again.",
        )
        raise DbtError(f"dbt gave up: {result.exception}. {advice}") from result.exception
    if reporter.errors:
        raise reporter.errors[0]
    if not result.success and all(outcome.good for outcome in reporter.outcomes.values()):
        raise DbtError(
            "dbt reports a failed build but names no failed node. See its log in the step's stdout, then materialize "
            "again."
        )
    return list(reporter.outcomes.values())
