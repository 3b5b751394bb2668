"""`drayage conform` on an image that knows nothing of the contract: it says so, and leaves nothing behind."""

import json
from pathlib import Path

import pytest
from contract_steps import SHELL_IMAGE
from typer.testing import CliRunner

from drayage.cli import app

pytestmark = pytest.mark.engine


def test_an_image_that_does_not_speak_pipes_fails_with_the_reason(tmp_path: Path) -> None:
    asked = ["--exchange-root", str(tmp_path), "conform", SHELL_IMAGE, "--scenario", "checks", "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 1
    (column,) = json.loads(done.stdout)
    assert column["holds"] is False
    (report,) = column["reports"]
    assert "it never opened Dagster Pipes" in report["failures"][0]
    assert not list(tmp_path.glob("*/*")), "exchange directories are left"
