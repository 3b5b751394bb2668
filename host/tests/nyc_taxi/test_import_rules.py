"""What the import contracts in pyproject.toml, which `make lint` checks, cannot say."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


def test_the_contracts_name_every_workload_in_python() -> None:
    """A workload that they leave out could import anything."""
    workloads = {path.parent.name for path in (REPOSITORY / "workloads").glob("*/pyproject.toml")}
    assert workloads == {"dbt_runner", "flink_submit", "generator"}
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    contracts = {contract["name"]: contract for contract in settings["contracts"]}
    assert workloads < set(settings["root_packages"])
    assert set(contracts["A workload knows nothing of the host"]["source_modules"]) == workloads
    assert set(contracts["A workload knows nothing of another"]["modules"]) == workloads
    host = contracts["The host starts containers; what speaks to Kafka, Flink or Iceberg is in them"]
    assert workloads < set(host["forbidden_modules"])


@pytest.mark.parametrize("command", ["launch", "landing"])
def test_a_command_starts_without_dagster(command: str) -> None:
    """The import takes seconds, too long to wait for the answer that a month was mistyped."""
    assert imported(f"nyc_taxi.{command}.__main__", "dagster") == []


def test_the_code_location_loads_without_the_client_of_the_landing_zone() -> None:
    """Every run would wait for it, and only the sensor needs it."""
    assert imported("nyc_taxi.definitions", "botocore") == []


def imported(module: str, package: str) -> list[str]:
    """Return the modules of a package that importing a module imports."""
    code = f"import sys, {module}; print(*[name for name in sys.modules if name.split('.')[0] == '{package}'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout.split()
