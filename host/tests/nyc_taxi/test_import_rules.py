"""What the import contracts in pyproject.toml, which `make lint` checks, cannot say."""

import subprocess
import sys
import tomllib
from pathlib import Path

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


def test_the_launcher_starts_without_dagster() -> None:
    """The import takes seconds, too long to wait for the answer that a month was mistyped."""
    code = "import sys, nyc_taxi.launch.__main__; print([name for name in sys.modules if name.startswith('dagster')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
