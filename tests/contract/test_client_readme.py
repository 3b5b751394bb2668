"""The examples of both READMEs run as written."""

import os
import sys
from pathlib import Path

import pytest
from contract_steps import Deployment
from readme_example import run_example

pytestmark = pytest.mark.engine

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["README.md", "host/README.md"])
def test_the_example_runs_as_written(tmp_path: Path, deployment: Deployment, page: str) -> None:
    printed = run_example(REPOSITORY / page, tmp_path, deployment, python=Path(sys.executable), environment=os.environ)
    assert "'rows': 3" in printed
    assert deployment.starts() == 1
    assert deployment.left_behind() == []
