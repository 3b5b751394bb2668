"""The command ``build``: one month of marts, from the Pipes context to the verdict."""

import tempfile
from pathlib import Path

from dagster_pipes import PipesContext

from dbt_runner.invocation import invoke
from dbt_runner.lake import require_source
from dbt_runner.marts import open_marts
from dbt_runner.outcome import require_all_good, summarize
from dbt_runner.project import Project, load_project
from dbt_runner.request import describe_months, read_request
from dbt_runner.settings import Settings
from dbt_runner.silver import open_silver, require_months

# In memory: dbt writes each node's SQL three times, which takes a tenth of a small month's build on a container's
# layered file system.
_SCRATCH_DIR = "/dev/shm"  # noqa: S108  # private to the container, which has one user


def load(settings: Settings) -> Project:
    """Load the dbt project, which does not depend on the month.

    Args:
        settings: Addresses and paths.

    Returns:
        The dbt project.

    Raises:
        ProjectError: The parsed project is missing, or was written by another version of dbt.
    """
    return load_project(settings.dbt_prepared_path)


def build(pipes: PipesContext, settings: Settings, project: Project) -> None:
    """Build the selected nodes for the step's months, and report each.

    Args:
        pipes: The step's Pipes context.
        settings: Addresses and paths.
        project: The dbt project.

    Raises:
        DbtRunnerError: The step fails; the message says what to do.
    """
    request = read_request(pipes)
    what = describe_months(request.months)
    source = require_source(settings)
    pipes.log.info("building %s from %s, snapshot %s", what, source.name, source.snapshot_id)
    settings.export()
    with (
        open_marts(settings.marts_duckdb_path, settings.duckdb_config) as marts,
        open_silver(settings) as silver,
        tempfile.TemporaryDirectory(prefix="dbt-", dir=_SCRATCH_DIR) as scratch,
    ):
        require_months(silver, request.months)
        for migration in marts.migrate(settings.dbt_project_dir / "migrations"):
            pipes.log.info("migrated the marts' file: %s", migration)
        outcomes = invoke(pipes, request, settings, project, relations=marts, scratch=Path(scratch))
    pipes.log.info("dbt build of %s: %s", what, summarize(outcomes))
    require_all_good(outcomes, what)
