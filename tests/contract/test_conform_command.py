"""`drayage conform` on an image that ignores the contract, and on one that keeps it."""

import json
from pathlib import Path

import pytest
from contract_steps import SHELL_IMAGE
from typer.testing import CliRunner

from drayage.cli.app import app
from drayage.conform.table import BEGIN, END

pytestmark = pytest.mark.engine


def test_an_image_that_does_not_speak_pipes_fails_with_the_reason(tmp_path: Path) -> None:
    asked = ["--exchange-root", str(tmp_path), "conform", SHELL_IMAGE, "--scenario", "checks", "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 1
    (column,) = json.loads(done.stdout)
    assert column["holds"] is False
    (report,) = column["reports"]
    assert "it never opened Dagster Pipes" in report["failures"][0]
    assert not list(tmp_path.glob("*/*")), "exchange directories are left behind"


def test_an_image_that_keeps_the_contract_is_added_to_the_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    asked = ["--exchange-root", str(tmp_path / "exchange"), "conform", "drayage/writer-shell", "--scenario", "secret"]
    done = CliRunner().invoke(app, [*asked, "--table", str(page)])
    assert done.exit_code == 0, done.output
    assert "drayage/writer-shell, secret: holds" in done.output
    table = page.read_text().splitlines()
    assert table[:5] == ["before", BEGIN, "| scenario | Shell |", "| --- | ---: |", "| secret | holds |"]
    assert table[-2:] == [END, "after"]
