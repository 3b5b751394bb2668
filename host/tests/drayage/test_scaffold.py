"""``drayage new`` writes a workload that loads unchanged, and never overwrites anything."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml
from typer.testing import CliRunner

from drayage import ContainerWorkload, SettingsError, scaffold
from drayage.cli.app import app
from drayage.scaffold import LANGUAGES, find_project, write_workload

HOST = Path(__file__).resolve().parents[2]
REPOSITORY = HOST.parent
# Where a language's workload has its copy of the writer, and where the writer's source is.
WRITERS = [
    ("go", "pipes/pipes.go", "pipes.go"),
    ("java", "src/drayage/pipes/Pipes.java", "src/drayage/pipes/Pipes.java"),
    ("node", "src/pipes.ts", "src/pipes.ts"),
]
LONGEST_WRITER_LINES, LONGEST_LINE_CHARACTERS = 210, 120
PROJECT = '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "pipeline"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Create a Dagster project in its own folder, as in this repository."""
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
def test_every_folder_has_an_image_tests_and_a_readme_with_its_name(project: Path, language: str) -> None:
    folder = write_workload("clean_trips", language=language, workloads=project.parent, project=project).folder
    assert re.search(r"^FROM \S+ AS test$", (folder / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("# clean_trips\n")
    assert [path for path in folder.rglob("*") if path.is_file() and "test" in path.name.lower()]
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


def test_a_python_workload_gets_the_hosts_version_of_pipes() -> None:
    """One library is pinned in two places; this keeps the pins equal."""
    pinned = (HOST / "src" / "drayage" / "templates" / "python" / "requirements.lock").read_text(encoding="utf-8")
    assert pinned in (HOST / "requirements.lock").read_text(encoding="utf-8")


def test_a_node_workload_gets_the_compiler_its_writer_is_tested_with() -> None:
    """Two locks, as above; the one in the template names no package."""
    template = json.loads((HOST / "src" / "drayage" / "templates" / "node" / "package-lock.json").read_bytes())
    writer = json.loads((REPOSITORY / "writers" / "node" / "package-lock.json").read_bytes())
    assert template["packages"].pop("")["devDependencies"] == writer["packages"].pop("")["devDependencies"]
    assert template["packages"] == writer["packages"]


@pytest.mark.parametrize(("language", "service"), [("go", "go"), ("java", "jre"), ("node", "node")])
def test_a_toolchain_is_the_layer_that_the_writers_are_built_with(language: str, service: str) -> None:
    """The instructions are identical: the engine finds them in its cache, and only one compiler needs testing."""
    toolchain, of_writers = (
        re.findall(r"^RUN (?:.*\\\n)*.*apt-get install.*", path.read_text(encoding="utf-8"), re.MULTILINE)
        for path in (
            HOST / "src" / "drayage" / "templates" / language / "Dockerfile",
            REPOSITORY / "services" / service / "Dockerfile",
        )
    )
    assert toolchain
    assert set(toolchain) <= set(of_writers)


def test_a_written_workload_holds_its_writer_and_no_link(project: Path) -> None:
    """The templates link to the writers, so that there is one source; what is written stands alone."""
    for language, written, source in WRITERS:
        folder = write_workload(f"in_{language}", language=language, workloads=project.parent, project=project).folder
        assert (folder / written).read_bytes() == (REPOSITORY / "writers" / language / source).read_bytes()
        assert not [path for path in folder.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize("writer", [*(f"{language}/{source}" for language, _, source in WRITERS), "shell/pipes.sh"])
def test_a_writer_can_be_read_before_it_is_copied(writer: str) -> None:
    lines = (REPOSITORY / "writers" / writer).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_WRITER_LINES
    assert max(map(len, lines)) <= LONGEST_LINE_CHARACTERS, "nor may long lines make them few"


def test_the_package_alone_holds_all_that_the_templates_link_to() -> None:
    """A wheel contains what a link points to; an sdist would keep a dangling link, so it names each file."""
    build = tomllib.loads((HOST / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    templates = HOST / "src" / "drayage" / "templates"
    linked = {path.relative_to(HOST).as_posix(): path.resolve() for path in templates.rglob("*") if path.is_symlink()}
    packed = build["targets"]["sdist"]["force-include"]
    assert {target: (HOST / source).resolve() for source, target in packed.items()} == linked
    assert all(source.is_file() for source in linked.values())


@pytest.mark.parametrize("name", ["Trips", "1trips", "clean-trips", "../trips", "", "trips_"])
def test_a_name_that_is_not_valid_everywhere_is_refused(project: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="Nothing was written"):
        write_workload(name, language="shell", workloads=project.parent, project=project)


def test_nothing_is_overwritten(project: Path) -> None:
    def write() -> None:
        write_workload("clean_trips", language="shell", workloads=project.parent, project=project)

    write()
    before = {path: path.read_bytes() for path in project.parent.rglob("*") if path.is_file()}
    with pytest.raises(SettingsError, match="already exists"):
        write()
    assert {path: path.read_bytes() for path in project.parent.rglob("*") if path.is_file()} == before


def test_the_project_is_found_from_inside_and_from_its_parent(project: Path) -> None:
    assert find_project(project / "src" / "pipeline") == project
    assert find_project(project.parent) == project


def test_no_project_and_several_projects_are_errors(project: Path) -> None:
    nowhere, other = project.parent / "nowhere", project.parent / "other"
    for folder in (nowhere, other):
        folder.mkdir()
    with pytest.raises(SettingsError, match="found none"):
        find_project(nowhere)
    (other / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    with pytest.raises(SettingsError, match="found several"):
        find_project(project.parent)


def test_the_command_prints_where_everything_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    done = CliRunner().invoke(app, ["new", "clean_trips", "--language", "shell"])
    assert done.exit_code == 0, done.output
    assert str(project.parent / "workloads" / "clean_trips") in done.output
    done = CliRunner().invoke(app, ["new", "other_trips", "--language", "cobol"])
    assert done.exit_code != 0
    assert f"expected one of {', '.join(LANGUAGES)}" in done.output.replace("\n", " ")


def test_the_command_prints_the_same_as_json(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    done = CliRunner().invoke(app, ["new", "clean_trips", "--language", "shell", "--json"])
    assert done.exit_code == 0, done.output
    folder = project.parent / "workloads" / "clean_trips"
    assert json.loads(done.stdout) == {
        "asset": "clean_trips",
        "language": "shell",
        "folder": str(folder),
        "entry": str(project / "src" / "pipeline" / "defs" / "clean_trips" / "defs.yaml"),
        "test_command": f"docker build --target test {folder}",
    }
    assert folder.is_dir()


def test_a_template_without_its_writer_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This happens if only this package's folder was copied."""
    copied = tmp_path / "templates"
    shutil.copytree(Path(scaffold.__file__).with_name("templates"), copied, symlinks=True)
    monkeypatch.setattr(scaffold, "_TEMPLATES", copied)
    with pytest.raises(SettingsError, match="is a broken link"):
        write_workload("clean_trips", language="go", workloads=project.parent, project=project)
    assert not (project.parent / "clean_trips").exists()
