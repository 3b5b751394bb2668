"""Holds what the launcher (``drayage.launcher``) needs of Dagster's launchers, code servers and run workers.

- What a run worker is made from is the run's origin and the state in its plan. Before there is a run, the code server
  names the one, and the plan of any of its jobs has the other.
- A code server gets a new id each time that it loads its definitions; no public name asks for it.
- The body of ``dagster api execute_run`` executes a run in an instance that is open already; the command itself would
  open another.
- Definitions that are loaded before their run must be loaded as the run will load them: made again from the code
  server's state, and not from whatever their source says now.

``tests/drayage/launcher/test_launching_internals.py`` fails by name if Dagster moves one of them.
"""

import contextlib
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import dagster as dg
from dagster._cli.api import _execute_run_command_body
from dagster._cli.utils import get_instance_for_cli
from dagster._core.errors import DagsterUserCodeProcessError, DagsterUserCodeUnreachableError
from dagster._core.instance import InstanceRef
from dagster._core.launcher.base import LaunchRunContext
from dagster._core.origin import RepositoryPythonOrigin
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.utils import parse_env_var
from dagster._core.workspace.context import BaseWorkspaceRequestContext
from dagster._serdes import deserialize_value, serialize_value
from dagster._utils.hosted_user_process import recon_repository_from_origin
from dagster._utils.interrupts import capture_interrupts
from dagster_docker.utils import DOCKER_CONFIG_SCHEMA

__all__ = ["DOCKER_CONFIG_SCHEMA", "LaunchRunContext", "Workspace"]

Workspace = BaseWorkspaceRequestContext

UNREACHABLE = (DagsterUserCodeUnreachableError, DagsterUserCodeProcessError)
"""What a code server's silence, or its complaint, is raised as."""


def environment(variables: Sequence[str]) -> dict[str, str]:
    """Return environment variables by name.

    Args:
        variables: ``NAME=value``, or ``NAME`` for the value of this process.

    Raises:
        Exception: One is not set here.
    """
    return dict(parse_env_var(each) for each in variables)


def run_like(origin: str) -> Any:
    """Return a stand-in for a run of a repository, for which a launcher can say how its run worker is made."""
    repository = deserialize_value(origin, RepositoryPythonOrigin)
    return SimpleNamespace(job_code_origin=SimpleNamespace(repository_origin=repository))


def origin_of(run: dg.DagsterRun) -> str:
    """Return the repository of a run, as Dagster writes it."""
    if run.job_code_origin is None:
        raise ValueError(f"run {run.run_id} has no origin: it was not launched from a code location")
    return str(serialize_value(run.job_code_origin.repository_origin))


def python_of(origin: str) -> str:
    """Return the path of Python in a repository's image."""
    return str(deserialize_value(origin, RepositoryPythonOrigin).executable_path)


def load_data_of_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Return the state that a run was planned with, as Dagster writes it; empty if none."""
    if not run.has_repository_load_data or run.execution_plan_snapshot_id is None:
        return ""
    return _written(instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).repository_load_data)


def code_server_id(workspace: Workspace | None, run: dg.DagsterRun) -> str | None:
    """Return the id that the code server of a run has at this moment; None if the run has no code server.

    Raises:
        UNREACHABLE: It does not answer.
    """
    origin = run.remote_job_origin
    if workspace is None or origin is None:
        return None
    location = workspace.get_code_location(origin.location_name)
    if not isinstance(location, GrpcServerCodeLocation):
        return None
    return location.client.get_server_id()


def code_servers(workspace: Workspace) -> Iterator[tuple[str, str, Any]]:
    """Yield name, id and repository of each repository that a code server has."""
    for location in workspace.code_locations:
        if isinstance(location, GrpcServerCodeLocation):
            for repository in location.get_repositories().values():
                yield location.name, location.server_id, repository


def describe_repository(workspace: Workspace, location_name: str, repository: Any) -> tuple[str, str] | None:
    """Return a repository's origin, and the state that its definitions were made from, as Dagster writes them.

    Returns:
        Both; None if no job of it can be planned without configuration, so that nothing tells the state.

    Raises:
        UNREACHABLE: The code server does not answer.
    """
    location = workspace.get_code_location(location_name)
    for job in repository.get_all_jobs():
        try:
            plan = location.get_execution_plan(job, {}, None, None, workspace.instance)
        except DagsterUserCodeProcessError:
            continue
        load_data = plan.execution_plan_snapshot.repository_load_data
        return str(serialize_value(repository.get_python_origin())), _written(load_data)
    return None


def first_step_at_s(instance: dg.DagsterInstance, run_id: str) -> float | None:
    """Return when a run began its first step, in seconds since the epoch; None if it has not."""
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_START, limit=1).records
    return found[0].event_log_entry.timestamp if found else None


def instance_ref_of(instance: dg.DagsterInstance) -> str:
    """Return an instance, as Dagster writes it."""
    return str(serialize_value(instance.get_ref()))


@contextlib.contextmanager
def opened_instance(instance_ref: str) -> Iterator[dg.DagsterInstance]:
    """Open an instance as Dagster's commands do, and load what its storages import late."""
    with get_instance_for_cli(instance_ref=deserialize_value(instance_ref, InstanceRef)) as instance:
        instance.get_runs(limit=1)
        instance.event_log_storage.get_pool_config()
        _ = instance.compute_log_manager
        yield instance


def load_definitions(origin: str, load_data: str) -> None:
    """Load a repository's definitions as a run that was planned with this state does."""
    from dagster._core.definitions.repository_definition import RepositoryLoadData  # noqa: PLC0415

    repository = recon_repository_from_origin(deserialize_value(origin, RepositoryPythonOrigin))
    state = deserialize_value(load_data, RepositoryLoadData) if load_data else None
    repository.with_repository_load_data(state).get_definition().load_all_definitions()


def execute_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Execute a run in this process, as ``dagster api execute_run`` does."""
    with capture_interrupts():
        _execute_run_command_body(run_id, instance, lambda _: None, set_exit_code_on_failure=False)


def _written(load_data: Any) -> str:
    return str(serialize_value(load_data)) if load_data else ""
