"""A secret reaches nothing that is written, however the workload writes it; and breaks nothing that it resembles."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from contract_steps import GREEN, Deployment, StepOutcome, materialize, on_each_engine, shell, step

from drayage import EnvSecret, FileSecret

pytestmark = [pytest.mark.engine, on_each_engine]

PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQ==\n-----END PRIVATE KEY-----\n"


def written(deployment: Deployment, outcome: StepOutcome) -> str:
    """Everything that the step left: events with the errors that led to them, and files."""
    files = [path.read_text(errors="replace") for path in deployment.exchange_root.rglob("*") if path.is_file()]
    return "\n".join([outcome.logged, *files])


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize(
    "inside", [r"u:p\u003css\u0026word@h", r"p<ss&word", r"\u0070\u003C\u0073s&word", r"{\"p\":\"p\\u003css&word\"}"]
)
def test_a_secret_in_any_json_encoding_is_in_no_event_and_no_file(
    instance: dg.DagsterInstance,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    inside: str,
    kept: Any,
) -> None:
    monkeypatch.setenv("T", "p<ss&word")
    client = deployment.client(secrets={"t": EnvSecret("T")})
    value = '{"raw_value":"INSIDE","type":"text"}'
    ending = (
        "closed"
        if kept
        else """send closed '{"exception":{"name":"E","message":"INSIDE","stack":["INSIDE"],
"cause":null,"context":null}}'""".replace("\n", "")
    )
    script = f"""opened; send log '{{"message":"INSIDE","level":"INFO"}}'; custom '{{"INSIDE":"INSIDE"}}'
send nonsense '"INSIDE"'; echo 'INSIDE'; echo '{{"said": "INSIDE' >&2
report '{{"INSIDE":{value},"url":{value}}}'; {ending}"""
    script = script.replace("INSIDE", inside)
    if kept:
        script = script.replace(f"send nonsense '\"{inside}\"';", "")
    outcome = materialize(instance, client, step(shell(script), secrets=["t"]))
    assert outcome.success is kept
    captured = capfd.readouterr()
    everything = written(deployment, outcome) + captured.out + captured.err
    for form in ("p<ss&word", r"p\u003css\u0026word", r"\u0070\u003C", r"p\u003css&word", r"p\\u003css"):
        # The container's own script is what the host wrote, with what the test put there.
        shown = [line for line in everything.splitlines() if form in line and "drayage/io/messages.jsonl" not in line]
        assert shown == []
    assert "[secret]" in everything


def test_no_line_of_a_key_is_in_a_failure(
    instance: dg.DagsterInstance, deployment: Deployment, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text(PEM)
    client = deployment.client(secrets={"key": FileSecret(str(tmp_path / "key"))})
    script = "cat /run/secrets/key >&2; sed 's/^/  /' /run/secrets/key; exit 1"
    outcome = materialize(instance, client, step(shell(script), secrets=["key"]))
    assert "[secret]" in outcome.failure[0]
    captured = capfd.readouterr()
    everything = written(deployment, outcome) + captured.out + captured.err
    assert not [line for line in PEM.splitlines() if line in everything]


@pytest.mark.parametrize("secret", ["1000", "params", "report", "rows", "closed", "INFO"])
def test_a_short_or_common_secret_breaks_no_step(
    instance: dg.DagsterInstance, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    """An asset may be called like the secret, and so may what it promised to report."""
    monkeypatch.setenv("T", secret)
    client = deployment.client(secrets={"t": EnvSecret("T")})
    script = 'opened; log hello; report \'{"rows":{"raw_value":100023,"type":"int"}}\'; closed'
    outcome = materialize(instance, client, step(shell(script), secrets=["t"], timeout_s=1000))
    assert outcome.success, outcome.failure
    (metadata,) = outcome.materializations
    assert metadata.get("rows", metadata.get("[secret]")) == 100023
    (messages,) = deployment.exchange_root.rglob("messages.jsonl")
    assert len([json.loads(line) for line in messages.read_text().splitlines()]) == 4


def test_an_adapted_programs_numbers_are_right_and_its_secrets_gone(
    instance: dg.DagsterInstance, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T", "1000")
    client = deployment.client(secrets={"t": EnvSecret("T")})
    script = "echo rows=100023; echo pin=is-1000"
    outcome = materialize(instance, client, step(["sh", "-c", script], secrets=["t"], adapter="key_value"))
    assert outcome.success, outcome.failure
    assert (outcome.materializations[0]["rows"], outcome.materializations[0]["pin"]) == (100023, "is-[secret]")


def test_an_error_that_led_to_a_failure_says_no_secret(
    instance: dg.DagsterInstance, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster records the whole chain of errors; the engine quotes what it was given."""
    monkeypatch.setenv("T", "s3cr3t-token")
    client = deployment.client(secrets={"t": EnvSecret("T")})
    kwargs = {"working_dir": "not-absolute/s3cr3t-token"}
    outcome = materialize(instance, client, step(shell(GREEN), secrets=["t"], container_kwargs=kwargs))
    assert "[secret]" in outcome.failure[0]
    assert "s3cr3t-token" not in "\n".join(str(event) for event in outcome.events)
