"""Which way imports may point: tests to host to image name, never back."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
SOURCES = REPOSITORY / "host" / "src"
WORKLOADS = sorted(path.parent for path in (REPOSITORY / "workloads").glob("*/pyproject.toml"))


def imported_packages(folder: Path) -> Iterator[tuple[Path, str]]:
    """List the top-level packages that a folder's modules import, wherever in the module."""
    for module in sorted(folder.rglob("*.py")):
        for part in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(part, ast.Import):
                yield from ((module, name.name.partition(".")[0]) for name in part.names)
            elif isinstance(part, ast.ImportFrom) and part.module and not part.level:
                yield module, part.module.partition(".")[0]


def offences(folder: Path, forbidden: set[str]) -> list[str]:
    return [f"{module}: {package}" for module, package in imported_packages(folder) if package in forbidden]


def test_the_runner_knows_nothing_of_the_pipeline() -> None:
    assert not offences(SOURCES / "drayage", {"nyc_taxi"})


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda path: path.name)
def test_a_workload_imports_neither_the_host_nor_another_workload(workload: Path) -> None:
    others = {other.name for other in WORKLOADS} - {workload.name}
    assert not offences(workload / "src", {"nyc_taxi", "drayage", "dagster"} | others)


def test_all_three_workloads_in_python_are_looked_at() -> None:
    assert {workload.name for workload in WORKLOADS} == {"dbt_runner", "flink_submit", "generator"}


def test_the_host_imports_no_workload_and_no_client_of_a_service() -> None:
    """The host starts containers; what speaks to Kafka, Flink or Iceberg is in them."""
    services = {"confluent_kafka", "pyiceberg", "duckdb", "dbt", "dagster_dbt"}
    assert not offences(SOURCES, services | {workload.name for workload in WORKLOADS})


def test_the_launcher_starts_without_dagster() -> None:
    """Dagster takes seconds to import, which nobody should wait for who mistyped a month."""
    code = "import sys, nyc_taxi.launch.__main__; print([name for name in sys.modules if name.startswith('dagster')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
