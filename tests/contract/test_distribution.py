"""The package on its own: built, installed into an empty environment, and run there."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_steps import Deployment, empty_project
from readme_example import run_example

pytestmark = pytest.mark.engine

REPOSITORY = Path(__file__).resolve().parents[2]
HOST = REPOSITORY / "host"
# Where `make` installs uv if the machine has none.
OWN_UV = REPOSITORY / ".drayage" / "uv" / "bin"
# Only what is installed may be found, nothing of this checkout.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}


def run(*command: str | Path) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(  # noqa: S603 - ours
        words, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, HOST)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def environment(distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Create an environment with only the wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("alone") / "venv"
    _, wheel = distributions
    if uv := shutil.which("uv", path=f"{os.environ['PATH']}:{OWN_UV}"):
        run(uv, "venv", "--python", sys.executable, folder)
        run(uv, "pip", "install", "--python", folder / "bin" / "python", wheel)
    else:
        run(sys.executable, "-m", "venv", folder)
        run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    yield folder
    shutil.rmtree(folder)


def test_both_distributions_pass_the_index_checks(distributions: tuple[Path, Path]) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *distributions)


def test_the_wheel_holds_every_file_of_the_package_and_the_licence(distributions: tuple[Path, Path]) -> None:
    """It is built from the sdist, in which the checkout's links must be files."""
    sdist, wheel = distributions
    with tarfile.open(sdist) as archive:
        assert [member.name for member in archive if not (member.isfile() or member.isdir())] == []
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    listed = run("git", "-C", HOST, "ls-files", "--cached", "--others", "--exclude-standard", "src/drayage").split()
    sources = {path.removeprefix("src/"): (HOST / path).read_bytes() for path in listed if (HOST / path).is_file()}
    assert {name: held.get(name) for name in sources} == sources
    assert [name for name in held if not name.startswith(("drayage/", "drayage-"))] == []
    (licence,) = [content for name, content in held.items() if name.endswith("/licenses/LICENSE")]
    assert licence == (REPOSITORY / "LICENSE").read_bytes()


def test_the_changelog_has_a_section_for_the_version() -> None:
    """The version is in one place, and no module repeats it."""
    version = tomllib.loads((HOST / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", titles[1])
    assert run("git", "-C", HOST, "grep", "--name-only", "--fixed-strings", f'"{version}"', "--", ".").split() == [
        "pyproject.toml"
    ]


def test_the_readmes_example_runs_with_the_package_alone(
    environment: Path, tmp_path: Path, deployment: Deployment
) -> None:
    python = environment / "bin" / "python"
    printed = run_example(HOST / "README.md", tmp_path, deployment, python=python, environment=ENVIRONMENT)
    assert "'rows': 3" in printed
    assert deployment.left_behind() == []


@pytest.mark.parametrize("language", ["go", "java", "node", "python", "shell"])
def test_the_installed_command_line_writes_a_workload(environment: Path, tmp_path: Path, language: str) -> None:
    """The templates come from the package, where no link leads to the repository's writers."""
    empty_project(tmp_path, "pipeline")
    workloads = tmp_path / "workloads"
    drayage = environment / "bin" / "drayage"
    run(drayage, "new", "count", "--language", language, "--workloads", workloads, "--project", tmp_path)
    assert (workloads / "count" / "Dockerfile").is_file()
    assert [path for path in workloads.rglob("*") if path.is_symlink()] == []
