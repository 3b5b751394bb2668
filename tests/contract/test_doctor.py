"""`drayage doctor` on a healthy machine, and on one where something is wrong."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from command_line import CommandLine
from contract_steps import GREEN, SHELL_IMAGE, Deployment, materialize, on_each_docker_engine, shell, step

from drayage import DrayageClient

pytestmark = pytest.mark.engine


def test_doctor_passes_a_healthy_machine_and_says_what_is_bad(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(GREEN)))
    findings = json.loads(cli("doctor", "--json"))
    assert {finding["what"] for finding in findings} == {
        "engine",
        f"image {SHELL_IMAGE}",
        "exchange root",
        "mailbox",
        "disk",
        "memory",
    }
    assert all(finding["good"] for finding in findings)
    assert "no-such-image' is not on the engine" in cli("doctor", "--image", "no-such-image", exits=1)
    assert "systemctl start docker" in cli("doctor", exits=1, DOCKER_HOST="unix:///no/such/socket")


@on_each_docker_engine
def test_doctor_says_how_messages_come_and_what_is_missing_for_it(cli: CommandLine, engine_kind: str) -> None:
    texts = {"docker": "files: what is written here", "remote-docker": "a volume and the relay "}
    (found,) = [each for each in json.loads(cli("doctor", "--json")) if each["what"] == "mailbox"]
    assert found["good"]
    assert found["text"].startswith(texts[engine_kind])
    if engine_kind == "remote-docker":
        bad = findings(cli, DRAYAGE_RELAY_IMAGE="no-such-relay")["mailbox"]
        assert not bad["good"]
        assert f"{os.environ['DOCKER_HOST']} does not see" in bad["text"]
        assert "has no image no-such-relay" in bad["text"]


def findings(cli: CommandLine, *words: str, **environment: str) -> dict[str, dict[str, Any]]:
    """Return the findings on a machine where something is bad."""
    found = json.loads(cli("doctor", "--json", *words, exits=1, **environment))
    return {finding["what"]: finding for finding in found}


@pytest.mark.parametrize(
    ("option", "what", "expected"),
    [("--least-disk", "disk", "expected 1048576.0 at least"), ("--least-memory", "memory", "expected 1073741824 at")],
)
def test_only_too_little_of_a_requirement_is_bad(cli: CommandLine, option: str, what: str, expected: str) -> None:
    assert json.loads(cli("doctor", "--json"))
    found = findings(cli, option, "1024t")
    assert [name for name, finding in found.items() if not finding["good"]] == [what]
    assert expected in found[what]["text"]
    assert "expected a size such as 512m or 2g, got 'much'" in cli("doctor", option, "much", exits=2)


def test_only_an_added_check_that_cannot_be_run_is_bad(cli: CommandLine) -> None:
    found = findings(cli, DRAYAGE_DOCTOR_CHECKS="no_such_module:examine")
    assert [name for name, finding in found.items() if not finding["good"]] == ["check no_such_module:examine"]
    text = found["check no_such_module:examine"]["text"]
    assert text.startswith("DRAYAGE_DOCTOR_CHECKS names no_such_module:examine, but the module no_such_module cannot")
    assert "PYTHONPATH" in text


def test_a_missing_exchange_root_is_created_as_a_step_would_create_it(cli: CommandLine, deployment: Deployment) -> None:
    assert not deployment.exchange_root.exists()
    assert "can be written" in cli("doctor")
    assert list((deployment.exchange_root / "replays").iterdir()) == [], "and nothing remains in it"


def test_an_exchange_root_that_is_a_file_is_bad(cli: CommandLine, deployment: Deployment) -> None:
    deployment.exchange_root.write_text("no folder", encoding="utf-8")
    found = findings(cli)
    assert not found["exchange root"]["good"]
    assert not found["mailbox"]["good"]
    assert str(deployment.exchange_root) in found["exchange root"]["text"]
    assert "Set DRAYAGE_EXCHANGE_ROOT" in found["exchange root"]["text"]


def test_an_exchange_root_that_cannot_be_created_is_bad(deployment: Deployment) -> None:
    """The kernel lets no user create a folder there, not even root."""
    found = findings(CommandLine(replace(deployment, exchange_root=Path("/proc/drayage/exchange"))))
    for what in ("exchange root", "mailbox", "disk"):
        assert not found[what]["good"]
        assert "DRAYAGE_EXCHANGE_ROOT" in found[what]["text"]


def test_an_exchange_root_without_write_permission_is_bad(cli: CommandLine, deployment: Deployment) -> None:
    """Root may write anywhere; here it is denied as any other user would be."""
    as_everybody = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []
    deployment.exchange_root.mkdir(mode=0o555)
    command = [*as_everybody, *cli.words("doctor", "--json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 1, done.stderr
    found = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert [name for name, finding in found.items() if not finding["good"]] == [
        "exchange root",
        "mailbox",
    ]
    assert "Permission denied" in found["exchange root"]["text"]
    assert "Set DRAYAGE_EXCHANGE_ROOT" in found["exchange root"]["text"]
