"""A workload that `drayage new` adds is part of the pipeline, without a line of Python on the host."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from manifest_fixture import manifest_json

from drayage.scaffold import write_workload

HOST = Path(__file__).parents[2]
LOAD = """
import json
from nyc_taxi.definitions import defs
loaded = defs()
graph = loaded.resolve_asset_graph()
print(json.dumps({
    "assets": sorted(key.to_user_string() for key in graph.get_all_asset_keys()),
    "group": graph.get(next(key for key in graph.get_all_asset_keys() if key.path == ["census"])).group_name,
    "executor": loaded.executor.name,
}))
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A copy of the host's project, as in a checkout."""
    shutil.copytree(HOST / "src" / "nyc_taxi", tmp_path / "host" / "src" / "nyc_taxi")
    shutil.copy(HOST / "pyproject.toml", tmp_path / "host")
    return tmp_path / "host"


def test_a_new_workload_is_part_of_the_pipeline(host: Path, tmp_path: Path) -> None:
    write_workload("census", language="shell", workloads=tmp_path / "workloads", project=host)
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes(manifest_json())
    environment = {
        **os.environ,
        "PYTHONPATH": str(host / "src"),
        "TAXI_DBT_MANIFEST": str(manifest),
        "DRAYAGE_EXCHANGE_ROOT": str(tmp_path / "exchange"),
    }
    command = [sys.executable, "-c", LOAD]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert {"census", "generate_events", "silver/cleaned_trips"} <= set(loaded["assets"])
    assert loaded["group"] == "workloads"
    assert loaded["executor"] == "container", "each step is a container already"
