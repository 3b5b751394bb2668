"""Workloads declared in YAML: built, run with what they ask for, and judged like any other step."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest
from contract_steps import (
    SHELL_IMAGE,
    Deployment,
    StepOutcome,
    empty_project,
    on_docker_and_kubernetes,
    outcome_of,
    shell,
)

from drayage import ContainerWorkload, read_image_id

pytestmark = [pytest.mark.engine, on_docker_and_kubernetes]

DG = Path(sys.executable).with_name("dg")
REPORT = {"key": "report", "description": "What the program printed."}
PLAIN = {"image": SHELL_IMAGE, "adapter": "key_value", "assets": [REPORT]}


@pytest.fixture(autouse=True)
def environment(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what a deployment configures for its host; a declared workload needs nothing else."""
    monkeypatch.setenv("DRAYAGE_DEPLOYMENT", deployment.name)
    monkeypatch.setenv("DRAYAGE_EXCHANGE_ROOT", str(deployment.exchange_root))
    for name, value in deployment.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def folder(deployment: Deployment, tmp_path: Path) -> Iterator[Path]:
    """Create a build folder, whose image is removed at the end."""
    folder = tmp_path / deployment.name
    folder.mkdir()
    yield folder
    for image in deployment.engine.images.list(name=image_of(folder)):
        deployment.engine.images.remove(image.id, force=True)


def image_of(folder: Path) -> str:
    """Return the name of the image that is built from a folder."""
    return f"drayage-build/{folder.name}"


def materialize(
    instance: dg.DagsterInstance,
    partition: str | None = None,
    given: Mapping[str, object] | None = None,
    **attributes: object,
) -> StepOutcome:
    """Declare a workload, and materialize it with these resources."""
    context = dg.ComponentTree.for_test().load_context
    defs = ContainerWorkload.from_attributes_dict(attributes={**PLAIN, **attributes}).build_defs(context)
    result = dg.materialize(
        list(defs.assets or ()),  # type: ignore[arg-type]
        instance=instance,
        partition_key=partition,
        resources=given,
        raise_on_error=False,
    )
    return outcome_of(instance, result.run_id)


def dockerfile(folder: Path, word: str) -> None:
    (folder / "Dockerfile").write_text(f'FROM {SHELL_IMAGE}\nCMD ["echo", "word={word}"]\n', encoding="utf-8")


def test_it_gets_what_it_declares(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPS_PASSWORD", "open-sesame")
    script = """
      echo release=$RELEASE
      echo secret_bytes=$(wc -c < /run/secrets/password)
      cat /run/secrets/password; echo
      echo memory_bytes=$(cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2> /dev/null)
      grep -q '"limit": 5' /drayage/io/context.json && echo has_extras=true
    """
    outcome = materialize(
        instance,
        command=["sh", "-c", script],
        env={"RELEASE": "3.10"},
        secrets={"password": {"env": "TRIPS_PASSWORD"}},
        extras={"limit": 5},
        resources={"memory": "64m", "timeout_s": 60},
        promises={"secret_bytes": {"type": "int", "unit": "bytes"}, "has_extras": "bool"},
    )
    assert outcome.success, outcome.failure
    (metadata,) = outcome.materializations
    assert metadata["secret_bytes"] == len("open-sesame")
    assert metadata["memory_bytes"] == 64 * 2**20
    assert metadata["has_extras"] is True
    assert metadata["release"] == 3.1, "key_value reads a number where JSON would"
    assert "open-sesame" not in outcome.logged


@pytest.mark.parametrize("script", ["echo rows=3", "exit 3"])
def test_its_run_records_which_image_and_revision_made_it(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setenv("GIT_REVISION", "4711abc")
    run = instance.get_run_by_id(materialize(instance, command=["sh", "-c", script]).run_id)
    assert run is not None
    tags = {name: run.tags.get(name) for name in ("git_revision", "image/debian")}
    assert tags == {"git_revision": "4711abc", "image/debian": read_image_id(SHELL_IMAGE)[:19]}


def test_a_secret_comes_from_a_file_of_the_host(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("open-sesame\n", encoding="utf-8")
    script = "echo secret_bytes=$(wc -c < /run/secrets/password); cat /run/secrets/password"
    secrets = {"password": {"file": str(password)}}
    outcome = materialize(instance, command=["sh", "-c", script], secrets=secrets)
    assert outcome.success, outcome.failure
    assert outcome.materializations[0]["secret_bytes"] == len("open-sesame\n")
    assert "open-sesame" not in outcome.logged


def test_a_secrets_file_that_is_not_there_is_named_and_nothing_starts(
    instance: dg.DagsterInstance, deployment: Deployment, tmp_path: Path
) -> None:
    outcome = materialize(instance, command=["true"], secrets={"password": {"file": str(tmp_path / "nothing")}})
    assert not outcome.success
    assert "password" in outcome.failure[0]
    assert str(tmp_path / "nothing") in outcome.failure[0]
    assert deployment.starts() == 0


def test_the_client_that_it_names_runs_it(
    instance: dg.DagsterInstance, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAYAGE_DEPLOYMENT", "somebody-elses")
    named = deployment.client(env={"REGION": "east"})
    outcome = materialize(
        instance, command=["sh", "-c", "echo region=$REGION"], client="docker", given={"docker": named}
    )
    assert outcome.success, outcome.failure
    assert outcome.materializations[0]["region"] == "east"
    assert deployment.starts() == 1


def test_a_resource_that_is_not_a_drayage_client_is_named(instance: dg.DagsterInstance, deployment: Deployment) -> None:
    outcome = materialize(instance, command=["true"], client="docker", given={"docker": "unix:///run/docker.sock"})
    assert "Resource 'docker' is a str, not a drayage.DrayageClient" in outcome.failure[0]
    assert deployment.starts() == 0


def test_a_partition_reaches_it_and_its_checks_come_back(instance: dg.DagsterInstance) -> None:
    script = """
      opened
      grep -q '"partition_key": "2024-01-02"' /drayage/io/context.json
      report '{"rows":{"raw_value":3,"type":"int"}}'
      check='{"asset_key":"report","check_name":"whole","passed":true,"severity":"ERROR","metadata":{}}'
      send report_asset_check "$check"
      closed
    """
    outcome = materialize(
        instance,
        partition="2024-01-02",
        command=shell(script),
        adapter=None,
        assets=[{**REPORT, "partitions_def": {"type": "daily", "start_date": "2024-01-01"}}],
        checks=[{"asset": "report", "name": "whole"}],
    )
    assert outcome.success, outcome.failure
    assert outcome.checks == [("whole", True)]
    assert outcome.materializations[0]["rows"] == 3


def test_a_broken_promise_makes_it_red(instance: dg.DagsterInstance) -> None:
    outcome = materialize(instance, command=["echo", "lines=3"], promises={"rows": "int"})
    assert not outcome.success
    assert "'rows' (int) is missing" in outcome.failure[0]


def test_a_build_folder_is_built_whenever_it_has_changed(instance: dg.DagsterInstance, folder: Path) -> None:
    words = []
    for word in ("one", "two"):
        dockerfile(folder, word)
        outcome = materialize(instance, image=None, build=str(folder))
        assert outcome.success, outcome.failure
        words.append(outcome.materializations[0]["word"])
    assert words == ["one", "two"]


def test_a_scaffolded_entry_of_a_build_folder_is_built_and_run(
    instance: dg.DagsterInstance, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dockerfile(folder, "scaffolded")
    project = empty_project(tmp_path / "host", folder.name.replace("-", "_"))
    named = ["--build", f"../../../../{folder.name}", "--adapter", "key_value", "--asset", "lake/trips"]
    written = subprocess.run(  # noqa: S603 - ours
        [DG, "scaffold", "defs", "drayage.ContainerWorkload", "trips", *named],
        cwd=project.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert written.returncode == 0, written.stdout + written.stderr
    monkeypatch.syspath_prepend(project.parent)
    assets = dg.load_from_defs_folder(path_within_project=project).get_assets_def(dg.AssetKey(["lake", "trips"]))
    result = dg.materialize([assets], instance=instance, raise_on_error=False)
    outcome = outcome_of(instance, result.run_id)
    assert outcome.success, outcome.failure
    assert outcome.materializations[0]["word"] == "scaffolded"


def test_a_build_that_fails_says_why_and_starts_nothing(
    instance: dg.DagsterInstance, deployment: Deployment, folder: Path
) -> None:
    (folder / "Dockerfile").write_text(f"FROM {SHELL_IMAGE}\nRUN echo not-today >&2; exit 7\n", encoding="utf-8")
    outcome = materialize(instance, image=None, build=str(folder))
    assert not outcome.success
    text = outcome.failure[0]
    assert "could not be built" in text
    assert "not-today" in text
    assert "docker build --tag" in text
    assert deployment.starts() == 0


def test_without_dockers_command_line_a_build_says_so(
    instance: dg.DagsterInstance, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dockerfile(folder, "one")
    monkeypatch.setenv("PATH", str(folder))
    assert (
        "there is no `docker` command on this host" in materialize(instance, image=None, build=str(folder)).failure[0]
    )


def test_a_deployed_host_uses_the_image_that_was_built_elsewhere(instance: dg.DagsterInstance, folder: Path) -> None:
    dockerfile(folder, "one")
    assert materialize(instance, image=image_of(folder), build=str(folder)).success
    shutil.rmtree(folder)
    outcome = materialize(instance, image=image_of(folder), build=str(folder))
    assert outcome.materializations[0]["word"] == "one"
    assert "is not on this host" in outcome.logged


def test_an_image_that_should_have_been_built_is_never_pulled(instance: dg.DagsterInstance, folder: Path) -> None:
    """A registry's image of that name would be someone else's."""
    shutil.rmtree(folder)
    outcome = materialize(instance, image=image_of(folder), build=str(folder))
    assert "is not on the engine" in outcome.failure[0]
