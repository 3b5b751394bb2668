"""The documentation's commands that stop, remove or write, on a separate stack and in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest
import yaml
from repository_copy import copy_repository
from stack import REPOSITORY

pytestmark = pytest.mark.engine


def make(folder: Path, *arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own Makefile
        ["make", *arguments],  # noqa: S607
        cwd=folder,
        input=answer,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_make_alone_lists_and_describes_every_target() -> None:
    listed = make(REPOSITORY)
    assert listed.returncode == 0, listed.stderr
    assert make(REPOSITORY, "help").stdout == listed.stdout
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"^  make ([a-z-]+) +\S", listed.stdout, re.MULTILINE)) == targets


def test_make_fmt_formats_python_and_sql(tmp_path: Path) -> None:
    copy = copy_repository(tmp_path / "copy")
    module, model = copy / "host" / "src" / "drayage" / "promise.py", next((copy / "sql" / "flink").glob("*.sql"))
    module.write_text(module.read_text(encoding="utf-8").replace("\n\n\n", "\n"), encoding="utf-8")
    model.write_text(model.read_text(encoding="utf-8").rstrip("\n") + "   \n\n\n", encoding="utf-8")
    assert len(changed(copy)) == 2
    done = make(copy, "fmt")
    assert done.returncode == 0, done.stdout + done.stderr
    assert changed(copy) == []


TUTORIAL = (REPOSITORY / "docs" / "tutorial.md").read_text(encoding="utf-8")
NEW = re.findall(r"^ {4}(\.venv/bin/drayage new (\w+) --language) (\w+) +# or (.*)$", TUTORIAL, re.MULTILINE)


def test_drayage_new_writes_a_workload_and_its_entry_where_the_tutorial_says(tmp_path: Path) -> None:
    copy = copy_repository(tmp_path / "copy")
    ((command, name, language, others),) = NEW
    for each in (language, *others.split(", ")):
        done = subprocess.run([*command.split(), each], cwd=copy, capture_output=True, text=True, check=False)  # noqa: S603
        assert done.returncode == 0, done.stderr
        folder, entry = copy / "workloads" / name, copy / "host" / "src" / "nyc_taxi" / "defs" / name / "defs.yaml"
        assert f"`{entry.relative_to(copy)}`" in TUTORIAL
        assert f"`{folder.relative_to(copy)}`" in TUTORIAL
        assert yaml.safe_load(entry.read_text(encoding="utf-8"))["type"] == "drayage.ContainerWorkload"
        assert (folder / "Dockerfile").is_file()
        shutil.rmtree(folder)
        shutil.rmtree(entry.parent)


def changed(copy: Path) -> list[str]:
    done = subprocess.run(["git", "diff", "--name-only"], cwd=copy, capture_output=True, text=True, check=True)  # noqa: S607
    return done.stdout.splitlines()


@pytest.fixture
def environment_file(tmp_path: Path, docker_engine: docker.DockerClient) -> Iterator[Path]:
    """Return the environment file of a separate stack that runs only the database, which publishes no port."""
    project, file = f"drayage-make-{uuid.uuid4().hex[:8]}", tmp_path / "own.env"
    subprocess.run(  # noqa: S603 - ours
        ["bootstrap/environment.sh", str(file)],  # noqa: S607
        cwd=REPOSITORY,
        env={**os.environ, "DATA": str(tmp_path)},
        check=True,
    )
    settings = re.sub("(?m)^COMPOSE_PROJECT_NAME=.*", f"COMPOSE_PROJECT_NAME={project}", file.read_text())
    file.write_text(settings, encoding="utf-8")
    kept = file.with_name("kept.env")
    kept.write_text(settings, encoding="utf-8")
    compose = ["docker", "compose", "--progress", "quiet", "--env-file", str(kept)]
    try:
        subprocess.run([*compose, "up", "--detach", "--wait", "postgres"], cwd=REPOSITORY, check=True)  # noqa: S603
        # dbt's steps create it, not a service.
        docker_engine.volumes.create(f"{project}_marts")
        yield file
    finally:
        subprocess.run(["bootstrap/stop.sh", str(kept), "--volumes"], cwd=REPOSITORY, check=True)  # noqa: S603, S607


def left(engine: docker.DockerClient, file: Path) -> tuple[set[str], set[str]]:
    """Return the containers and volumes of an environment file's stack."""
    project = re.findall("(?m)^COMPOSE_PROJECT_NAME=(.*)", file.with_name("kept.env").read_text())[0]
    containers = engine.containers.list(all=True, filters={"name": f"^{project}-"}, ignore_removed=True)
    volumes = engine.volumes.list(filters={"name": f"{project}_"})
    return (
        {container.name.removeprefix(f"{project}-") for container in containers},
        {volume.name.removeprefix(f"{project}_") for volume in volumes},
    )


def test_make_down_keeps_the_data_and_make_clean_asks_before_removing_it(
    docker_engine: docker.DockerClient, environment_file: Path
) -> None:
    which = f"ENV_FILE={environment_file}"
    containers, data = left(docker_engine, environment_file)
    assert containers == {"postgres"}
    assert {"postgres", "marts"} <= data
    refused = make(REPOSITORY, "clean", which, answer="no\n")
    assert refused.returncode != 0
    assert "Nothing was removed" in refused.stdout
    assert left(docker_engine, environment_file) == ({"postgres"}, data)
    done = make(REPOSITORY, "down", which)
    assert done.returncode == 0, done.stderr
    assert left(docker_engine, environment_file) == (set(), data)
    assert environment_file.exists()
    done = make(REPOSITORY, "clean", which, answer="yes\n")
    assert done.returncode == 0, done.stderr
    assert left(docker_engine, environment_file) == (set(), set())
    assert not environment_file.exists()
