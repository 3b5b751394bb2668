"""Dagster's own command line finds the component, writes an entry of it, and checks it."""

import subprocess
import sys
from pathlib import Path

import dagster
import pytest
import yaml

from drayage import ContainerWorkload

DG = Path(sys.executable).with_name("dg")
PROJECT = '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "pipeline"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Create a `dg` project without definitions."""
    (tmp_path / "pipeline" / "defs").mkdir(parents=True)
    for package in ("pipeline", "pipeline/defs"):
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    return tmp_path


def dg(project: Path, *words: str) -> tuple[int, str]:
    """Run `dg`; return its exit code and its output."""
    done = subprocess.run([DG, *words], cwd=project, capture_output=True, text=True, check=False)  # noqa: S603
    return done.returncode, done.stdout + done.stderr


def test_the_component_is_listed(project: Path) -> None:
    code, said = dg(project, "list", "components", "--package", "drayage", "--json")
    assert code == 0, said
    assert "drayage.ContainerWorkload" in said


def test_a_scaffolded_entry_is_valid(project: Path) -> None:
    component = ["scaffold", "defs", "drayage.ContainerWorkload"]
    code, said = dg(project, *component, "trips", "--image", "an/image", "--adapter", "key_value")
    assert code == 0, said
    entry = yaml.safe_load((project / "pipeline" / "defs" / "trips" / "defs.yaml").read_text(encoding="utf-8"))
    assert entry == {
        "type": "drayage.ContainerWorkload",
        "attributes": {
            "image": "an/image",
            "adapter": "key_value",
            "assets": [{"key": "trips", "description": "Says what trips makes."}],
        },
    }
    assert ContainerWorkload.from_attributes_dict(attributes=entry["attributes"]).build_defs(
        dagster.ComponentTree.for_test().load_context
    )
    code, said = dg(project, "check", "yaml")
    assert code == 0, said


def test_an_entry_without_image_is_not_written(project: Path) -> None:
    code, said = dg(project, "scaffold", "defs", "drayage.ContainerWorkload", "trips")
    assert code != 0
    assert "--image" in said
    assert not (project / "pipeline" / "defs" / "trips" / "defs.yaml").exists()


def test_dg_names_the_line_of_a_malformed_entry(project: Path) -> None:
    folder = project / "pipeline" / "defs" / "trips"
    folder.mkdir()
    (folder / "defs.yaml").write_text(
        "type: drayage.ContainerWorkload\nattributes:\n  image: an/image\n"
        "  assets: [{key: trips, description: Trips.}]\n  resources:\n    memory: 512m\n  comand: [run]\n",
        encoding="utf-8",
    )
    code, said = dg(project, "check", "yaml")
    assert code != 0
    assert "defs.yaml:7" in said, "512m is a size; the seventh line is wrong"
    assert "comand" in said
