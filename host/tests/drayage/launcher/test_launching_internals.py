"""Dagster may move what it does not call public; these tests name the piece that moved."""

import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext
from dagster._core.definitions.reconstruct import initialize_repository_def_from_pointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._serdes import serialize_value
from dagster_docker import DockerRunLauncher

from drayage import StandbyRunLauncher
from drayage.dagster_internals import launching, run_tags

MODULE = """
import dagster as dg
from pathlib import Path
from drayage import StateBackedDefinitionsLoader

class Loader(StateBackedDefinitionsLoader[str]):
    defs_key = "launching/state"

    def fetch_state(self) -> str:
        return Path(__file__).with_name("state.txt").read_text()

    def defs_from_state(self, state: str) -> dg.Definitions:
        return dg.Definitions(assets=[dg.AssetSpec(state)], jobs=[plain])

@dg.op
def write() -> None:
    Path(__file__).with_name("written.txt").touch()

@dg.job(executor_def=dg.in_process_executor)
def plain() -> None:
    write()

defs = Loader().build_defs()
"""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"launching_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / "state.txt").write_text("one")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


def _origin(module: str, folder: Path | None = None) -> RepositoryPythonOrigin:
    return RepositoryPythonOrigin(
        executable_path="/opt/venv/bin/python",
        code_pointer=ModuleCodePointer(module, "defs", None if folder is None else str(folder)),
        container_image="host",
        entry_point=["dagster"],
        container_context={"docker": {"env_vars": ["OF_LOCATION=1"], "container_kwargs": {"mem_limit": "1g"}}},
    )


def test_environment_variables_are_still_read_as_the_launcher_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHING_SET", "here")
    assert launching.environment(["LAUNCHING_SET", "B=x=y"]) == {"LAUNCHING_SET": "here", "B": "x=y"}
    with pytest.raises(Exception, match="LAUNCHING_MISSING"):
        launching.environment(["LAUNCHING_MISSING"])


def test_a_run_still_names_its_repository(instance: dg.DagsterInstance) -> None:
    origin = _origin("m")
    run = instance.create_run_for_job(
        dg.job(name="plain")(lambda: None), job_code_origin=JobPythonOrigin("plain", origin)
    )
    assert launching.origin_of(run) == serialize_value(origin)
    assert launching.python_of(launching.origin_of(run)) == "/opt/venv/bin/python"
    stand_in = launching.run_like(launching.origin_of(run))
    launcher = DockerRunLauncher(env_vars=["OF_LAUNCHER=1"], container_kwargs={"init": True})
    for one in (run, stand_in):
        context = launcher.get_container_context(one)
        assert context.env_vars == ["OF_LAUNCHER=1", "OF_LOCATION=1"], "DockerContainerContext.create_for_run has moved"
        assert context.container_kwargs == {"init": True, "mem_limit": "1g"}
    assert launcher._get_docker_image(stand_in.job_code_origin) == "host"  # noqa: SLF001 - what our launcher calls


def test_a_run_without_a_code_location_has_no_origin(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(dg.job(name="plain")(lambda: None))
    with pytest.raises(ValueError, match="has no origin"):
        launching.origin_of(run)
    assert launching.load_data_of_run(instance, run) == ""
    assert launching.code_server_id(None, run) is None


def test_definitions_are_loaded_from_the_code_servers_state(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a run that begins afterwards gets the same."""
    origin = _origin(module, tmp_path)
    state = initialize_repository_def_from_pointer(origin.code_pointer).repository_load_data
    assert state is not None
    # A run worker has loaded nothing before.
    monkeypatch.setattr(DefinitionsLoadContext, "_instance", None)
    sys.modules.pop(module)
    (tmp_path / "state.txt").write_text("two")
    launching.load_definitions(str(serialize_value(origin)), str(serialize_value(state)))
    assert list(sys.modules[module].defs.resolve_all_asset_keys()) == [dg.AssetKey("one")]


def test_a_run_is_still_executed_in_an_open_instance(instance: dg.DagsterInstance, module: str, tmp_path: Path) -> None:
    __import__(module)
    plain = sys.modules[module].defs.resolve_job_def("plain")
    run = instance.create_run_for_job(plain, job_code_origin=JobPythonOrigin("plain", _origin(module, tmp_path)))
    named = run_tags.name_container(instance, run.run_id, "c" * 64, "host")
    assert named.tags["docker/container_id"] == "c" * 64, "DOCKER_CONTAINER_ID_TAG has changed"
    assert named.tags["dagster/image"] == "host", "DOCKER_IMAGE_TAG has changed"
    with launching.opened_instance(launching.instance_ref_of(instance)) as opened:
        launching.execute_run(opened, run.run_id)
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status == dg.DagsterRunStatus.SUCCESS, "_execute_run_command_body has changed"
    assert (tmp_path / "written.txt").exists()
    began_s = launching.first_step_at_s(instance, run.run_id)
    assert began_s is not None
    assert abs(began_s - (tmp_path / "written.txt").stat().st_mtime) < 30
    assert launching.first_step_at_s(instance, instance.create_run_for_job(plain).run_id) is None


def test_the_runs_of_a_container_are_found_by_its_tag(instance: dg.DagsterInstance) -> None:
    job = dg.job(name="plain")(lambda: None)
    first, second, _ = (instance.create_run_for_job(job).run_id for _ in range(3))
    run_tags.name_container(instance, first, "a", "host")
    run_tags.name_container(instance, second, "b", "host")
    assert run_tags.containers_with_runs(instance, ["a", "b", "c"]) == {"a": [first], "b": [second]}
    assert run_tags.containers_with_runs(instance, []) == {}
    with pytest.raises((LookupError, dg.DagsterInvariantViolationError, Exception), match="no-such-run"):
        run_tags.name_container(instance, "no-such-run", "a", "host")


def test_the_launcher_is_configured_as_dagster_dockers_is(tmp_path: Path) -> None:
    config = {"image": "host", "env_vars": ["A=1"], "container_kwargs": {"init": True}, "standby": 2}
    launcher = {"module": "drayage", "class": "StandbyRunLauncher", "config": config}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"run_launcher": launcher}) as instance:
        made = instance.run_launcher
        assert isinstance(made, StandbyRunLauncher)
        assert isinstance(made, DockerRunLauncher)
        assert (made.standby, made.image, made.env_vars) == (2, "host", ["A=1"])
        assert made.supports_check_run_worker_health
    assert StandbyRunLauncher().standby == 1


def test_a_code_server_is_still_asked_for_its_id() -> None:
    from dagster._grpc.client import DagsterGrpcClient  # noqa: PLC0415

    assert hasattr(DagsterGrpcClient, "get_server_id"), "DagsterGrpcClient.get_server_id has moved"
    assert hasattr(launching.GrpcServerCodeLocation, "server_id"), "GrpcServerCodeLocation.server_id has moved"
