"""The command line against real steps: running, finished, failed, kept and swept."""

import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
import docker
import pytest
from command_line import CommandLine
from contract_steps import GREEN, SHELL_IMAGE, Deployment, StepOutcome, materialize, shell, step, wait_until

from drayage import DrayageClient, EnvSecret, Mount

# ruff: noqa: S603, S606, S607, S106 - commands are run as people run them, with passwords that are none

pytestmark = pytest.mark.engine

HIDDEN = "hush-hush-0123456789"
FAILED = "opened; echo to-stdout; echo to-stderr >&2; touch /left-behind; log broken; closed; exit 3"


@contextmanager
def running(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, before: str = "opened", **run: object
) -> Iterator[list[StepOutcome]]:
    """A step that runs until the block is left, and its outcome afterwards."""
    ended: list[StepOutcome] = []
    script = f"{before}; while [ ! -e /drayage/io/go ]; do sleep 0.1; done; report '{{}}'; closed"
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(materialize, instance, client, step(shell(script), timeout_s=120, **run))
        try:
            wait_until(lambda: "opened" in messages_of(deployment), what="the step's first message")
            yield ended
        finally:
            for io in deployment.exchange_root.glob("*/report/*/io"):
                (io / "go").touch()
        ended.append(outcome.result())


def messages_of(deployment: Deployment) -> str:
    return "".join(path.read_text() for path in deployment.exchange_root.glob("*/report/*/io/messages.jsonl"))


def listed(cli: CommandLine, *words: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(cli(*words, "--json"))
    return rows


def test_runs_and_steps_tell_what_became_of_each(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine
) -> None:
    green = materialize(instance, client, step(shell(GREEN)))
    red = materialize(instance, client, step(shell(FAILED)))
    assert [(row["run"], row["status"]) for row in listed(cli, "runs")] == [
        (red.run_id, "failed"),
        (green.run_id, "succeeded"),
    ]
    (finished,) = listed(cli, "steps", green.run_id[:8])
    (failed,) = listed(cli, "steps", "last")
    assert (finished["status"], finished["exit"], finished["container"]) == ("succeeded", 0, "removed")
    assert (failed["status"], failed["exit"], failed["container"]) == ("failed", 3, "kept")
    assert isinstance(failed["seconds"], float)
    assert failed["image"] == SHELL_IMAGE
    assert "failed" in cli("runs")
    assert SHELL_IMAGE in cli("steps")


def test_a_running_step_is_listed_followed_and_entered(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    cli = replace(cli, apart=True)
    with running(instance, deployment, client, "opened; echo early; log first") as ended:
        assert [row["status"] for row in listed(cli, "steps")] == ["running"]
        assert listed(cli, "steps")[0]["container"] == "running"
        follower = subprocess.Popen(cli.words("logs", "last", "report", "-f"), stdout=subprocess.PIPE, text=True)
        listener = subprocess.Popen(cli.words("messages", "last", "report", "-f"), stdout=subprocess.PIPE, text=True)
        assert follower.stdout is not None
        assert listener.stdout is not None
        assert follower.stdout.readline() == "early\n"
        assert [listener.stdout.readline() for _ in range(2)] == ["OPENED\n", "INFO     first\n"]
        assert "early-file" in cli("shell", "last", "report", "--command", "touch /early-file; ls /early-file")
        assert "early-file" in cli("shell", "last", "report", "--command", "ls /early-file"), "the same container"
    assert ended[0].success, ended[0].failure
    assert follower.communicate(timeout=60)[0] == ""
    assert listener.communicate(timeout=60)[0].splitlines()[-1] == "CLOSED"


def test_logs_and_messages_of_a_failed_step_stay(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(FAILED)))
    assert cli("logs", "last", "report", "--stream", "stdout") == "to-stdout\n"
    assert "to-stderr" in cli("logs", "last", "report")
    assert cli("messages", "last", "report").splitlines() == ["OPENED", "INFO     broken", "CLOSED"]
    lines = cli("messages", "last", "report", "--json").splitlines()
    assert [json.loads(line)["method"] for line in lines] == ["opened", "log", "closed"]


def test_a_failure_says_the_reason_then_commands_that_work(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What people see first is why, what they copy comes next, and no second command says the same in another way."""
    text, _ = materialize(instance, client, step(shell(FAILED))).failure
    reason, _, replay, shell_command, where = text.splitlines()[:5]
    assert reason == f"{SHELL_IMAGE}: it exited with code 3."
    assert where.startswith("Container ")
    assert "docker run" not in text
    assert replay.startswith("  drayage --exchange-root ")
    assert runs_as_it_stands(replay, "--yes").returncode == 1
    looked = runs_as_it_stands(shell_command, "--command", "ls /left-behind")
    assert looked.stdout == "/left-behind\n", looked.stderr
    monkeypatch.setenv("DRAYAGE_CLI_PREFIX", "docker exec -it webserver")
    text, _ = materialize(instance, deployment.client(), step(shell("exit 1"))).failure
    assert "\n  docker exec -it webserver drayage " in text


def runs_as_it_stands(command: str, *more: str) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command)[1:]
    return subprocess.run(
        [sys.executable, "-m", "drayage.cli", *words, *more], capture_output=True, text=True, check=False
    )


def test_a_failure_links_the_page_that_the_workload_named_last(
    instance: dg.DagsterInstance, client: DrayageClient
) -> None:
    first, last = (json.dumps({"kind": "flink_job", "url": f"http://127.0.0.1:8081/#/job/{job}"}) for job in "ab")
    text, metadata = materialize(
        instance, client, step(shell(f"opened; custom '{first}'; custom '{last}'; closed; exit 1"))
    ).failure
    assert "\nIts flink job: http://127.0.0.1:8081/#/job/b\n" in text
    assert metadata["flink_job_url"] == "http://127.0.0.1:8081/#/job/b"


def test_a_shell_sees_what_a_kept_container_left_and_leaves_nothing(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(FAILED), env={"LIMIT": "12"}))
    (kept,) = deployment.containers()
    said = cli(
        "shell", "last", "report", "--command", "ls /left-behind; echo limit $LIMIT; cat /drayage/io/context.json"
    )
    assert "/left-behind" in said
    assert "limit 12" in said
    assert '"asset_keys": ["report"]' in said
    assert [container.id for container in deployment.containers()] == [kept.id]
    assert deployment.engine.images.list(all=True, filters={"label": f"drayage/deployment={deployment.name}"}) == []


def test_a_shell_of_a_removed_container_has_the_same_context(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("mounted")
    mounts = [Mount(str(tmp_path / "data"), "/data")]
    materialize(instance, client, step(shell(GREEN), user="12345", mounts=mounts))
    said = cli(
        "shell",
        "last",
        "report",
        "-c",
        "id -u; cat /data/file; echo x >> $DRAYAGE_NO_SUCH/drayage/io/messages.jsonl; exit 7",
        exits=7,
    )
    assert "12345" in said
    assert "mounted" in said
    assert "x\n" not in messages_of(deployment), "the step's own evidence stays as it was"
    assert deployment.left_behind() == []
    assert list(deployment.exchange_root.glob("replays/*/*/*")) == []


def test_a_shell_at_a_terminal_takes_keys(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(FAILED)))
    pid, terminal = pty.fork()
    if pid == 0:
        words = cli.words("shell", "last", "report")
        os.execv(words[0], words)
    said = read_until(terminal, b"# ")
    os.write(terminal, b"echo $((6 * 7)) $(ls /left-behind)\n")
    said = read_until(terminal, b"42 /left-behind")
    os.write(terminal, b"exit 5\n")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 5, said


def read_until(terminal: int, wanted: bytes) -> bytes:
    said = b""
    while wanted not in said:
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, said
        said += os.read(terminal, 65536)
    return said


@pytest.fixture
def shell_less_image(docker_engine: docker.DockerClient, tmp_path: Path) -> Iterator[str]:
    """An image with one static program and no shell."""
    name = "drayage/contract-without-shell"
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "Dockerfile").write_text(
        f"FROM {SHELL_IMAGE} AS base\nFROM scratch\nCOPY --from=base /usr/bin/sleep /usr/bin/sleep\n"
        "COPY --from=base /usr/lib /usr/lib\nCOPY --from=base /lib64 /lib64\nCOPY --from=base /lib /lib\n"
    )
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", name, str(tmp_path / "image")],
        check=True,
        capture_output=True,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )
    yield name
    docker_engine.images.remove(name, force=True)


def test_an_image_without_a_shell_gets_a_toolbox_beside_it(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine, shell_less_image: str
) -> None:
    asset = step(["/usr/bin/sleep", "600"], image=shell_less_image, timeout_s=120)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(materialize, instance, client, asset)
        wait_until(lambda: [c for c in deployment.containers() if c.status == "running"], what="the container")
        refused = cli("shell", "last", "report", "-c", "true", exits=2)
        assert "--toolbox" in refused
        said = cli("shell", "last", "report", "--toolbox", SHELL_IMAGE, "-c", "cat /proc/*/cmdline | tr '\\0' ' '")
        assert "/usr/bin/sleep 600" in said
        for container in deployment.containers():
            container.kill()
        assert not outcome.result().success
    assert "--toolbox" in cli("shell", "last", "report", "-c", "true", exits=2)
    assert "beside" in cli("shell", "last", "report", "-c", "echo beside", DRAYAGE_TOOLBOX_IMAGE=SHELL_IMAGE)


def test_a_replay_gets_the_same_context_and_writes_nothing_to_dagster(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    outcome = materialize(instance, client, step(shell(FAILED), extras={"limit": 5}))
    entries, before = len(outcome.entries), messages_of(deployment)
    said = cli("replay", "last", "report", "--yes", exits=1)
    assert "The replay is red: it exited with code 3" in said
    assert "INFO     broken" in said
    assert "to-stderr" in said
    assert len(instance.all_logs(outcome.run_id)) == entries
    assert messages_of(deployment) == before
    (directory,) = deployment.exchange_root.glob("replays/*/report/*")
    (own,) = deployment.exchange_root.glob("*/report/*/io/context.json")
    assert json.loads((directory / "io" / "context.json").read_text()) == json.loads(own.read_text())
    assert len(deployment.containers()) == 1, "the kept one alone"
    assert [row["run"] for row in listed(cli, "runs")] == [outcome.run_id], "a replay is no run"


def test_a_replay_with_changes_shows_the_fix(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    script = "opened; grep -q '\"limit\": 7' /drayage/io/context.json; cat /fix/file; report '{}'; closed"
    materialize(instance, client, step(shell(script), extras={"limit": 5, "other": "kept"}))
    (tmp_path / "fix").mkdir()
    (tmp_path / "fix" / "file").write_text("fixed")
    changes = ["--set", "limit=7", "--mount", f"{tmp_path}/fix:/fix:ro"]
    said = cli("replay", "last", "report", "--yes", *changes)
    assert "The replay is green" in said
    assert "MATERIALIZED report" in said
    assert "red" in cli("replay", "last", "report", "--yes", exits=1), "without them it fails as it did"


def test_an_interrupted_replay_ends_its_container(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    waits = "while grep -q '\"wait\": true' /drayage/io/context.json; do sleep 0.1; done"
    script = f"trap 'log stopping; exit 143' TERM; opened; log waiting; {waits}; report '{{}}'; closed"
    materialize(instance, client, step(shell(script), extras={"wait": False}, stop_grace_s=60))
    replay = subprocess.Popen(
        cli.words("replay", "last", "report", "--yes", "--set", "wait=true"), stdout=subprocess.PIPE, text=True
    )
    assert replay.stdout is not None
    said = next(line for line in replay.stdout if "waiting" in line)
    replay.send_signal(signal.SIGINT)
    said += replay.communicate()[0]
    assert replay.returncode == 130
    assert "stopping" in said
    assert deployment.left_behind() == []


def test_a_replay_that_cannot_start_says_why_and_leaves_nothing(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(["no-such-program"], init=False))
    assert "The command cannot be started" in cli("replay", "last", "report", "--yes", exits=2)
    assert deployment.left_behind() == []


def test_a_replay_asks_before_it_repeats_effects(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(GREEN)))
    starts = deployment.starts()
    assert "written again" in cli("replay", "last", "report", answer="n\n", exits=2)
    assert "--yes" in cli("replay", "last", "report", exits=2)
    assert deployment.starts() == starts
    assert "green" in cli("replay", "last", "report", answer="y\n")


def test_a_replay_judges_broken_promises_and_unknown_messages(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine
) -> None:
    promised = {"drayage/promises": {"rows": {"types": ["int"], "required": True}}}
    script = "opened; send dance '{}'; report '{}'; closed"
    materialize(instance, client, step(shell(script), asset={"metadata": promised}))
    said = cli("replay", "last", "report", "--yes", exits=1)
    assert "unknown method 'dance'" in said
    assert "'rows' (int) is missing" in said


def test_a_replay_gets_its_secrets_again_and_shows_none(
    instance: dg.DagsterInstance, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, cli: CommandLine
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", HIDDEN)
    client = deployment.client(secrets={"password": EnvSecret("SOME_PASSWORD")})
    script = "opened; cat /run/secrets/password; log $(cat /run/secrets/password); report '{}'; closed"
    environment = {"S3_SECRET_ACCESS_KEY": "never-recorded", "PLAIN": "recorded"}
    materialize(instance, client, step(shell(script), secrets=["password"], env=environment))
    missing = cli("replay", "last", "report", "--yes", exits=2)
    assert "S3_SECRET_ACCESS_KEY" in missing
    said = cli("replay", "last", "report", "--yes", S3_SECRET_ACCESS_KEY="never-recorded")
    assert "INFO     [secret]" in said
    assert HIDDEN not in said
    assert deployment.left_behind() == []
    capsule = str(deployment.exchange_root / "capsule.tar.gz")
    cli("capsule", "last", "report", "-o", capsule)
    written = [path.read_bytes() for path in deployment.exchange_root.rglob("*") if path.is_file()]
    unpacked = subprocess.run(["gzip", "-dc", capsule], check=True, capture_output=True).stdout
    for secret in (HIDDEN.encode(), b"never-recorded"):
        assert secret not in b"".join(written) + unpacked
    assert b"recorded" in unpacked
    monkeypatch.delenv("SOME_PASSWORD")
    assert "SOME_PASSWORD is not set" in cli("replay", "last", "report", "--yes", exits=2, S3_SECRET_ACCESS_KEY="x")


def test_live_messages_are_clean(
    instance: dg.DagsterInstance, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, cli: CommandLine
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", HIDDEN)
    client = deployment.client(secrets={"password": EnvSecret("SOME_PASSWORD")})
    cli = replace(cli, apart=True)
    with running(instance, deployment, client, "opened; log $(cat /run/secrets/password)", secrets=["password"]):
        wait_until(lambda: HIDDEN in messages_of(deployment), what="the leak")
        assert "INFO     [secret]" in cli("messages", "last", "report")
        monkeypatch.delenv("SOME_PASSWORD")
        assert "its secrets are not known here" in cli("messages", "last", "report", exits=2)


def test_a_capsule_is_replayed_where_the_run_is_unknown(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    materialize(instance, client, step(shell(FAILED)))
    file = str(tmp_path / "step.tar.gz")
    assert f"drayage replay {file}" in cli("capsule", "last", "report", "-o", file)
    elsewhere = [sys.executable, "-m", "drayage.cli", "--exchange-root", str(tmp_path / "elsewhere"), "replay"]
    done = subprocess.run([*elsewhere, file, "--yes"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "it exited with code 3" in done.stdout
    (tmp_path / "other").write_text("no capsule")
    assert "is not a capsule" in cli("replay", str(tmp_path / "other"), "--yes", exits=2)
    assert "There is no capsule" in cli("replay", str(tmp_path / "none"), "--yes", exits=2)


def test_every_command_speaks_json_to_programs(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    run_id = materialize(instance, client, step(shell(FAILED))).run_id
    lines = [json.loads(line) for line in cli("logs", "last", "report", "--json").splitlines()]
    assert {"stream": "stdout", "line": "to-stdout"} in lines
    assert {"stream": "stderr", "line": "to-stderr"} in lines
    capsule = json.loads(cli("capsule", "last", "report", "-o", str(tmp_path / "step.tar.gz"), "--json"))
    assert (capsule["run"], capsule["step"]) == (run_id, "report")
    assert capsule["size_bytes"] == (tmp_path / "step.tar.gz").stat().st_size
    replayed = subprocess.run(
        cli.words("replay", "last", "report", "--yes", "--json"), capture_output=True, text=True, check=False
    )
    verdict = json.loads(replayed.stdout)
    assert (verdict["green"], verdict["reasons"]) == (False, ["it exited with code 3"])
    assert "to-stdout" in replayed.stderr
    (tmp_path / "dagster" / "dagster.yaml").touch()
    home = str(tmp_path / "dagster")
    swept = json.loads(cli("sweep", "--max-age-days", "0", "--orphan-grace-s", "-1", "--json", DAGSTER_HOME=home))
    assert len(swept["directories"]) == 1, "the replay's alone: the failed step's container is still kept"
    assert swept["errors"] == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("drayage st", "steps"),
        ("drayage steps la", "last"),
        ("drayage logs last re", "report"),
        ("drayage replay last report --deb", "--debugpy"),
        ("drayage new trips --language ja", "java"),
    ],
)
def test_a_shell_completes_commands_runs_and_steps(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, typed: str, offered: str
) -> None:
    materialize(instance, client, step(shell(GREEN)))
    environment = {
        **os.environ,
        "_DRAYAGE_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
        "DRAYAGE_EXCHANGE_ROOT": str(deployment.exchange_root),
    }
    program = str(Path(sys.executable).with_name("drayage"))
    done = subprocess.run([program], capture_output=True, text=True, check=False, env=environment)
    assert offered in done.stdout.splitlines(), done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("steps",),
        ("logs",),
        ("messages",),
        ("shell", "-c", "true"),
        ("replay", "--yes"),
        ("capsule", "-o", "x.tar.gz"),
    ],
    ids=lambda words: words[0],
)
def test_a_swept_step_is_said_to_be_gone(
    instance: dg.DagsterInstance,
    client: DrayageClient,
    cli: CommandLine,
    tmp_path: Path,
    words: tuple[str, ...],
) -> None:
    run_id = materialize(instance, client, step(shell(GREEN))).run_id
    which = [run_id[:8]] if words[0] == "steps" else [run_id[:8], "report"]
    home = str(tmp_path / "dagster")
    (tmp_path / "dagster" / "dagster.yaml").touch()
    report = cli("sweep", "--max-age-days", "0", "--orphan-grace-s", "-1", DAGSTER_HOME=home)
    assert "1 exchange directories" in report
    assert "No step is recorded" in cli(words[0], *which, *words[1:], exits=2)
    assert not Path("x.tar.gz").exists()


def test_an_engine_that_is_down_is_one_sentence(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(GREEN)))
    assert "systemctl start docker" in cli("runs", exits=2, DOCKER_HOST="unix:///no/such/socket")
