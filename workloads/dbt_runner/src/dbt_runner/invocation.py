"""One ``dbt build`` in this process."""

from pathlib import Path

from dagster_pipes import PipesContext
from dbt.adapters import duckdb as _adapter  # noqa: F401  loaded here, for dbt would load it when a month waits
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
        pipes: Where each node is reported as it ends.
        request: What to build.
        settings: Where the project is.
        project: The project as it was parsed.
        relations: What is known of the built relations.
        scratch: A folder for what dbt writes beside the marts.

    Returns:
        What became of each node, in the order in which they ended.

    Raises:
        DbtError: dbt gave up before it had a verdict on every node.
        RequestError: The project lacks nodes that were asked for.
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
            # The container's log has what dbt prints; a second one at debug level takes a third of dbt's time.
            "--log-level-file", "none",
            "--no-use-colors",
            "--no-write-json",
            "--vars", encode_vars(request.vars),
            # Every month is built: the incremental table may as well be made anew, with the columns of today.
            *(() if request.months else ("--full-refresh",)),
            *selection,
        ]
    )  # fmt: skip
    if result.exception is not None:
        advice = what_helps(
            str(result.exception),
            "Its log, in the step's stdout, tells what it was doing; mend that and materialize again.",
        )
        raise DbtError(f"dbt gave up: {result.exception}. {advice}") from result.exception
    if reporter.errors:
        raise reporter.errors[0]
    if not result.success and all(outcome.good for outcome in reporter.outcomes.values()):
        raise DbtError("dbt says that the build failed and names no node. Its log, in the step's stdout, tells more.")
    return list(reporter.outcomes.values())
