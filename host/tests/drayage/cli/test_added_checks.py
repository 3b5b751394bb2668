"""`drayage doctor` runs the functions that `DRAYAGE_DOCTOR_CHECKS` names, and reports a wrong name."""

from pathlib import Path

import pytest

from drayage import ClientSettings, Finding
from drayage.cli.added_checks import run_added_checks

CHECKS = """
from drayage import Finding

WORD = "no function"

def good(settings):
    return [Finding("network", settings.network == "here", f"{settings.network} is there")]

def bad(settings):
    return [Finding("volume", False, "gone"), Finding("port", True, "answers")]

def raising(settings):
    raise RuntimeError("boom")

def returning_text(settings):
    return "all is well"

def without_arguments():
    return []
"""


@pytest.fixture(autouse=True)
def _checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deployment_checks.py").write_text(CHECKS, encoding="utf-8")
    (tmp_path / "broken_checks.py").write_text("import no_such_library", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def run(names: str) -> list[Finding]:
    environment = {"DRAYAGE_NETWORK": "here", "DRAYAGE_DOCTOR_CHECKS": names}
    return run_added_checks(ClientSettings.load(environment=environment))


def test_every_named_check_runs_in_order_with_the_clients_settings() -> None:
    assert run(" deployment_checks:good, deployment_checks:bad,") == [
        Finding("network", good=True, text="here is there"),
        Finding("volume", good=False, text="gone"),
        Finding("port", good=True, text="answers"),
    ]


@pytest.mark.parametrize("names", ["", " , "])
def test_without_names_no_check_runs(names: str) -> None:
    assert run(names) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("deployment_checks", "expects names of the form module:function"),
        (":good", "expects names of the form module:function"),
        ("no_such_module:examine", "cannot be imported (ModuleNotFoundError: No module named 'no_such_module')"),
        ("broken_checks:examine", "cannot be imported (ModuleNotFoundError: No module named 'no_such_library')"),
        ("deployment_checks:missing", "has no function missing"),
        ("deployment_checks:WORD", "has no function WORD"),
        ("deployment_checks:raising", "failed (RuntimeError: boom)"),
        ("deployment_checks:without_arguments", "failed (TypeError: without_arguments() takes 0 positional"),
        ("deployment_checks:returning_text", "returned 'all is well'; expected a list of drayage.Finding"),
    ],
)
def test_a_check_that_cannot_be_run_is_a_bad_finding_with_its_name_and_reason(name: str, said: str) -> None:
    """The other checks still run."""
    bad, good = run(f"{name},deployment_checks:good")
    assert (bad.what, bad.good, good.good) == (f"check {name}", False, True)
    assert said in bad.text
    assert name in bad.text
    assert "DRAYAGE_DOCTOR_CHECKS" in bad.text
    assert "Correct" in bad.text
