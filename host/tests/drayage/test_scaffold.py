"""``drayage new`` writes what loads as it is, and never over what is there."""

import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from typer.testing import CliRunner

from drayage import ContainerWorkload, SettingsError
from drayage.cli import app
from drayage.scaffold import LANGUAGES, find_project, write_workload

HOST = Path(__file__).resolve().parents[2]
PROJECT = '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "pipeline"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Dagster project in a folder of its own, as this repository has one."""
    (tmp_path / "host" / "src" / "pipeline" / "defs").mkdir(parents=True)
    (tmp_path / "host" / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    return tmp_path / "host"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_entry_declares_what_the_folder_holds(project: Path, language: str) -> None:
    written = write_workload("clean_trips", language=language, workloads=project.parent / "workloads", project=project)
    assert written.folder == project.parent / "workloads" / "clean_trips"
    assert written.entry == project / "src" / "pipeline" / "defs" / "clean_trips" / "defs.yaml"
    entry = yaml.safe_load(written.entry.read_text(encoding="utf-8"))
    assert (written.entry.parent / entry["attributes"]["build"]).resolve() == written.folder
    component = ContainerWorkload.from_attributes_dict(attributes=entry["attributes"])
    defs = component.build_defs(dg.ComponentTree.for_test().load_context)
    assert defs.get_assets_def("clean_trips").get_asset_spec().metadata["drayage/promises"]["rows"]["types"] == ["int"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_folder_has_an_image_tests_and_a_readme_of_its_name(project: Path, language: str) -> None:
    folder = write_workload("clean_trips", language=language, workloads=project.parent, project=project).folder
    assert re.search(r"^FROM \S+ AS test$", (folder / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("# clean_trips\n")
    assert list((folder / "tests").iterdir())
    everything = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())
    assert not re.search(r"WORKLOAD_NAME|BUILD_FOLDER", everything)


def test_the_tests_of_a_python_workload_pass(project: Path) -> None:
    folder = write_workload("clean_trips", language="python", workloads=project.parent, project=project).folder
    command = [sys.executable, "-m", "unittest", "discover", "-s", "tests"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr


def test_the_tests_of_a_shell_workload_pass(project: Path) -> None:
    folder = write_workload("clean_trips", language="shell", workloads=project.parent, project=project).folder
    done = subprocess.run([folder / "tests" / "test_workload.sh"], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stdout == "all tests passed\n", done.stderr


def test_a_python_workload_gets_the_pipes_that_the_host_has() -> None:
    """Two pins of one library, so that a test holds them together."""
    pinned = (HOST / "src" / "drayage" / "templates" / "python" / "requirements.lock").read_text(encoding="utf-8")
    assert pinned in (HOST / "requirements.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["Trips", "1trips", "clean-trips", "../trips", "", "trips_"])
def test_a_name_that_would_not_do_everywhere_is_refused(project: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="Nothing was written"):
        write_workload(name, language="shell", workloads=project.parent, project=project)


def test_nothing_is_written_over_what_is_there(project: Path) -> None:
    def write() -> None:
        write_workload("clean_trips", language="shell", workloads=project.parent, project=project)

    write()
    before = {path: path.read_bytes() for path in project.parent.rglob("*") if path.is_file()}
    with pytest.raises(SettingsError, match="is there already"):
        write()
    assert {path: path.read_bytes() for path in project.parent.rglob("*") if path.is_file()} == before


def test_the_project_is_found_from_inside_and_from_beside(project: Path) -> None:
    assert find_project(project / "src" / "pipeline") == project
    assert find_project(project.parent) == project


def test_no_project_and_several_projects_are_errors(project: Path) -> None:
    nowhere, other = project.parent / "nowhere", project.parent / "other"
    for folder in (nowhere, other):
        folder.mkdir()
    with pytest.raises(SettingsError, match="there is none"):
        find_project(nowhere)
    (other / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    with pytest.raises(SettingsError, match="there is several"):
        find_project(project.parent)


def test_the_command_says_where_everything_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    done = CliRunner().invoke(app, ["new", "clean_trips", "--language", "shell"])
    assert done.exit_code == 0, done.output
    assert str(project.parent / "workloads" / "clean_trips") in done.output
    done = CliRunner().invoke(app, ["new", "other_trips", "--language", "cobol"])
    assert done.exit_code != 0
    assert f"expected {', '.join(LANGUAGES)}" in done.output.replace("\n", " ")
