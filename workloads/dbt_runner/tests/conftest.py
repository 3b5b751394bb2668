"""Fixtures: the project, prepared once, and a lake in a file."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lake_file import make_lake
from step import PROJECT, WORKLOAD, Runner

from dbt_runner.project import Project, load_project
from services import Services, running_services

ADDRESSES = {
    "ICEBERG_WAREHOUSE": "s3://warehouse/",
    "S3_REGION": "us-east-1",
    "S3_ACCESS_KEY_ID": "key",
    "S3_SECRET_ACCESS_KEY": "not-so-secret",
}


@pytest.fixture(scope="session")
def shared_services() -> Iterator[Services]:
    """A working catalog and object store."""
    with running_services() as services:
        yield services


@pytest.fixture
def services() -> Iterator[Services]:
    """A catalog and an object store for one test, which may break them."""
    with running_services() as services:
        yield services


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both real months, as silver holds them."""
    return make_lake(tmp_path_factory.mktemp("lake") / "lake.duckdb", "2019-01", "2019-02")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, shared_services: Services, lake: Path) -> dict[str, str]:
    """The environment of a container and its image, with the project prepared."""
    folder = tmp_path_factory.mktemp("image")
    environment = {
        **ADDRESSES,
        "ICEBERG_CATALOG_URI": shared_services.url,
        "S3_ENDPOINT": shared_services.url,
        "LAKE_DUCKDB_PATH": str(lake),
        "MARTS_DUCKDB_PATH": str(folder / "marts.duckdb"),
        "DUCKDB_EXTENSION_DIRECTORY": str(folder / "extensions"),
        "DUCKDB_MEMORY_LIMIT": "1GB",
        "DUCKDB_TEMP_DIRECTORY": str(folder / "duckdb"),
        "DBT_PROJECT_DIR": str(PROJECT),
        "DBT_PROFILES_DIR": str(WORKLOAD / "tests" / "profile"),
        "DBT_PREPARED_PATH": str(folder / "target"),
        "PYTHONPATH": str(WORKLOAD / "src"),
    }
    subprocess.run(
        [sys.executable, "-m", "dbt_runner", "prepare_image"],
        env={**os.environ, **environment},
        check=True,
        timeout=300,
    )
    return environment


@pytest.fixture(scope="session")
def prepared(environment: dict[str, str]) -> Path:
    """The folder that ``prepare_image`` wrote to."""
    return Path(environment["DBT_PREPARED_PATH"])


@pytest.fixture(scope="session")
def project(prepared: Path) -> Project:
    """The parsed project."""
    return load_project(prepared)


@pytest.fixture(scope="session")
def session_runner(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], prepared: Path) -> Runner:
    """A runner whose marts file is shared by the tests of a session."""
    folder = tmp_path_factory.mktemp("steps")
    own = {**environment, "MARTS_DUCKDB_PATH": str(folder / "marts.duckdb")}
    return Runner(folder, own, json.loads((prepared / "manifest.json").read_bytes()))


@pytest.fixture
def runner(session_runner: Runner, tmp_path: Path) -> Runner:
    """A runner with a separate marts file for each test."""
    own = {**session_runner.environment, "MARTS_DUCKDB_PATH": str(tmp_path / "marts.duckdb")}
    return replace(session_runner, folder=tmp_path, environment=own)
