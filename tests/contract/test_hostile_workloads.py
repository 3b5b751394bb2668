"""What a workload that runs as root tries against its host, and cannot do, whether the host is root or not."""

import json
import os
import re
import resource
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from command_line import CommandLine
from contract_steps import GREEN, Deployment, materialize, on_each_docker_engine, shell, step
from dagster_docker.pipes import PipesDockerLogsMessageReader
from engine_differences import reason_on
from hostile_attacks import ATTACKS, TOO_LONG, Attack
from hostile_bench import NOBODY, HostileBench, hostile_bench

from drayage import DrayageClient, EnvSecret

pytestmark = [pytest.mark.engine, on_each_docker_engine]

TOKEN = "s3cr3t-token"  # noqa: S105 - made up
# A custom message of more than 1,000 bytes.
LONG = """custom "\\"$(printf '%1000s' x)\\"\""""
VICTIM = "the host's own\n"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the host that the workload knows the path of."""
    path = tmp_path / "victim"
    path.write_text(VICTIM)
    path.chmod(0o600)
    return path


def attack(target: Path) -> str:
    """Try to put a link in place of each file, and under each name that the host may use beside it."""
    names = "messages.jsonl context.json .messages.jsonl.clean $(seq -f .context.json.%g 1 40) go"
    return f"""
    for name in {names}; do
        rm -f /drayage/io/$name 2> /dev/null || true
        ln -sf {target} /drayage/io/$name 2> /dev/null || true
        mv {target} /drayage/io/$name 2> /dev/null || true
    done
    rm -rf /drayage/io /drayage 2> /dev/null || true
    mkfifo /drayage/io/messages.jsonl 2> /dev/null || true
    """


def test_links_lead_the_host_nowhere(
    instance: dg.DagsterInstance, deployment: Deployment, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The messages are scrubbed after the step, since one holds a secret: never through a link."""
    monkeypatch.setenv("TOKEN", TOKEN)
    client = deployment.client(secrets={"token": EnvSecret("TOKEN")})
    script = f"{attack(victim)}\nopened; log {TOKEN}; report '{{}}'; closed"
    outcome = materialize(instance, client, step(shell(script), secrets=["token"]))
    assert outcome.success, outcome.failure
    assert victim.read_text() == VICTIM
    (messages,) = deployment.exchange_root.glob("*/report/*/io/messages.jsonl")
    assert TOKEN not in messages.read_text()
    assert sorted(path.name for path in messages.parent.iterdir()) == ["context.json", "messages.jsonl"]


def test_the_context_cannot_be_changed(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    script = "if echo x >> /drayage/io/context.json || chmod 777 /drayage/io/context.json; then exit 7; fi; "
    outcome = materialize(instance, client, step(shell(script + GREEN)))
    assert outcome.success, outcome.failure


def test_the_logs_and_records_are_out_of_reach(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    script = (
        "cd /drayage; test \"$(find . -type f | sort | tr '\\n' ' ')\" = './io/context.json ./io/messages.jsonl '; "
    )
    outcome = materialize(instance, client, step(shell(script + GREEN)))
    assert outcome.success, outcome.failure


def test_truncated_messages_are_red(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    script = "opened; report '{}'; closed; sleep 1; : > /drayage/io/messages.jsonl"
    outcome = materialize(instance, client, step(shell(script)))
    assert "truncated or replaced /drayage/io/messages.jsonl" in outcome.failure[0]


def test_a_huge_hole_among_the_messages_is_red(
    instance: dg.DagsterInstance, client: DrayageClient, engine_kind: str
) -> None:
    """A sparse file costs a workload nothing, and must cost the host no memory."""
    script = "opened; truncate -s 2G /drayage/io/messages.jsonl; closed; report '{}'"
    outcome = materialize(instance, client, step(shell(script), timeout_s=120))
    red = r"messages of more than 1073741824 bytes \(messages_bytes\)"
    assert re.search(reason_on(engine_kind, "hole", red), outcome.failure[0])


def test_a_hole_within_the_limit_is_a_message_that_is_too_long(
    instance: dg.DagsterInstance, client: DrayageClient
) -> None:
    script = "opened; truncate -s 100M /drayage/io/messages.jsonl; closed; report '{}'"
    outcome = materialize(instance, client, step(shell(script), timeout_s=120))
    assert re.search(TOO_LONG, outcome.failure[0])


def test_messages_without_end_stop_the_container_at_their_limit(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    """Nothing may fill the disk; what was reported before is kept."""
    script = f"opened; report '{{}}'; while :; do {LONG}; done"
    outcome = materialize(instance, client, step(shell(script), messages_bytes="1m", timeout_s=3600, stop_grace_s=0))
    assert "it sent messages of more than 1048576 bytes (messages_bytes), so it was stopped" in outcome.failure[0]
    assert len(outcome.observations) == 1
    (messages,) = deployment.exchange_root.glob("*/report/*/io/messages.jsonl")
    assert messages.stat().st_size > 2**20


@pytest.mark.parametrize("by_output", [False, True])
def test_the_longest_message_is_a_setting(
    instance: dg.DagsterInstance, deployment: Deployment, *, by_output: bool
) -> None:
    client = deployment.client(message_reader=PipesDockerLogsMessageReader() if by_output else None)
    messages = "messages=/dev/stderr; " if by_output else ""
    script = f"{messages}opened; {LONG}; report '{{}}'; closed"
    outcome = materialize(instance, client, step(shell(script), message_bytes=500))
    assert "is longer than the 500 bytes allowed" in outcome.failure[0]
    outcome = materialize(instance, client, step(shell(script), message_bytes=5000))
    assert outcome.success, outcome.failure


def test_a_message_of_250_mib_in_the_output_costs_no_memory(
    instance: dg.DagsterInstance, deployment: Deployment
) -> None:
    script = """
    messages=/dev/stderr
    opened
    { printf '{"__dagster_pipes_version":"0.1","method":"log","params":{"level":"INFO","message":"'
      head -c 250M /dev/zero | tr '\\0' x; printf '"}}\\n'; } >&2
    report '{}'; closed
    """
    client = deployment.client(message_reader=PipesDockerLogsMessageReader())
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = materialize(instance, client, step(shell(script)))
    assert "longer than the 16777216 bytes allowed" in outcome.failure[0]
    # Sixteen of them are kept, in several copies for a moment.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 200 * 1024


def test_a_message_that_is_too_long_is_named(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    script = """
    opened
    { printf '{"__dagster_pipes_version":"0.1","method":"log","params":{"level":"INFO","message":"'
      head -c 17000000 /dev/zero | tr '\\0' x; printf '"}}\\n'; } >> /drayage/io/messages.jsonl
    report '{}'; closed
    """
    outcome = materialize(instance, client, step(shell(script)))
    assert "longer than the 16777216 bytes allowed" in outcome.failure[0]


@pytest.mark.parametrize("name", ["context.json", "messages.jsonl"])
def test_a_capsule_takes_nothing_through_a_link(
    instance: dg.DagsterInstance,
    deployment: Deployment,
    client: DrayageClient,
    cli: CommandLine,
    victim: Path,
    name: str,
) -> None:
    """An exchange directory of an older drayage may hold one, for its workload could write there."""
    materialize(instance, client, step(shell(GREEN)))
    (file,) = deployment.exchange_root.glob(f"*/report/*/io/{name}")
    file.unlink()
    file.symlink_to(victim)
    capsule = victim.with_name("step.tar.gz")
    assert "not a regular file" in cli("capsule", "last", "report", "-o", str(capsule), exits=2)
    assert not capsule.exists()


def test_messages_are_not_shown_through_a_link(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine, victim: Path
) -> None:
    materialize(instance, client, step(shell(GREEN)))
    (messages,) = deployment.exchange_root.glob("*/report/*/io/messages.jsonl")
    messages.unlink()
    messages.symlink_to(victim)
    assert "not a regular file" in cli("messages", "last", "report", exits=2)


def test_a_capsule_of_an_honest_step_has_its_files(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    materialize(instance, client, step(shell(GREEN)))
    cli("capsule", "last", "report", "-o", str(tmp_path / "step.tar.gz"))
    with tarfile.open(tmp_path / "step.tar.gz") as capsule:
        context = capsule.extractfile("io/context.json")
        assert context is not None
        assert json.load(context)["asset_keys"] == ["report"]


USERS = [os.geteuid(), NOBODY] if os.geteuid() == 0 else [os.geteuid()]


@pytest.fixture(scope="module", params=USERS, ids=lambda uid: f"user {uid}")
def bench(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    engine_kind: str,  # noqa: ARG001 - the environment names the engine
) -> Iterator[HostileBench]:
    """A host as each user that it can run as here."""
    with hostile_bench(
        f"contract-{uuid.uuid4().hex[:8]}", request.param, log=tmp_path_factory.mktemp("log") / "log"
    ) as it:
        yield it


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_harmless_and_its_step_judged_rightly(
    bench: HostileBench, attack: Attack, engine_kind: str
) -> None:
    """The host's files are as they were, its secrets in no file, and its memory and time bounded."""
    expected = replace(attack, red=reason_on(engine_kind, attack.name, attack.red))
    assert bench.run(expected, "contract").violations == []
