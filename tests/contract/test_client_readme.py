"""The example of the client's README runs as it stands there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from contract_steps import Deployment

pytestmark = pytest.mark.engine

README = Path(__file__).resolve().parents[2] / "host" / "README.md"


def test_the_example_runs_as_it_is_written(tmp_path: Path, deployment: Deployment) -> None:
    (example,) = README.read_text(encoding="utf-8").split("```python\n")[1:]
    (tmp_path / "trips.py").write_text(example.split("```")[0], encoding="utf-8")
    environment = {
        **os.environ,
        "DRAYAGE_EXCHANGE_ROOT": str(deployment.exchange_root),
        "DRAYAGE_DEPLOYMENT": deployment.name,
    }
    command = [sys.executable, "trips.py"]
    done = subprocess.run(  # noqa: S603 - ours
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "'rows': 3" in done.stdout
    assert deployment.starts() == 1
    assert deployment.left_behind() == []
