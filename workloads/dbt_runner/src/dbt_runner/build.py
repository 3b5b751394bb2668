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

# In memory: dbt writes each node's SQL three times over, which on a container's layered file system takes a tenth of a
# small month's build.
_SCRATCH_DIR = "/dev/shm"  # noqa: S108  # the container's own, whose one user this is


def load(settings: Settings) -> Project:
    """Load what every month's build needs.

    Args:
        settings: Where things are.

    Returns:
        The dbt project.

    Raises:
        ProjectError: It is not there, or of another dbt version.
    """
    return load_project(settings.dbt_baked_path)


def build(pipes: PipesContext, settings: Settings, project: Project) -> None:
    """Build the selected nodes for the step's month, and report each.

    Args:
        pipes: The step's Pipes context.
        settings: Where things are.
        project: The dbt project.

    Raises:
        DbtRunnerError: Anything that makes the step red; the message says what to do.
    """
    request = read_request(pipes)
    what = describe_months(request.months)
    source = require_source(settings)
    pipes.log.info("building %s from %s, snapshot %s", what, source.name, source.snapshot_id)
    settings.export()
    with (
        open_marts(settings.marts_duckdb_path, settings.duckdb_config) as marts,
        tempfile.TemporaryDirectory(prefix="dbt-", dir=_SCRATCH_DIR) as scratch,
    ):
        outcomes = invoke(pipes, request, settings, project, relations=marts, scratch=Path(scratch))
    pipes.log.info("dbt build of %s: %s", what, summarize(outcomes))
    require_all_good(outcomes, what)
