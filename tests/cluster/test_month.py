"""A month on Kubernetes: Dagster and each step a pod, and the numbers are those of the month under Docker."""

import json
import re
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from cluster import Cluster, output, run
from stack import REPOSITORY, Launch, Stack

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.skipif(not shutil.which("docker"), reason="needs a container engine"),
]

MONTH = "2019-01"
# The month's figures, as tests/end_to_end/test_real_months.py has them.
EVENTS, SILVER, REJECTED, TOTAL_USD = 10_000, 9_993, 7, Decimal("157365.02")
STEPS = ("kafka_topics", "generate_events", "bronze/raw_trips", "silver/cleaned_trips", "audit")


@dataclass(frozen=True)
class Month:
    """A stack whose Dagster runs in a cluster, and what the run of the month printed."""

    stack: Stack
    cluster: Cluster
    launch: Launch


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    """Run the month once, on a stack and a cluster of its own, which are removed at the end, also after a failure."""
    file = own_environment(tmp_path_factory.mktemp("month") / "month.env")
    try:
        done = make("kubernetes", f"ENV_FILE={file}", f"MONTH={MONTH}", "DATA=tests/data")
        assert done.returncode == 0, done.stdout + done.stderr
        stack = Stack(file)
        yield Month(stack, Cluster(f"{stack.project}-cluster", said=""), Launch(done.returncode, done.stdout))
    finally:
        if file.exists():
            make("kubernetes-down", f"ENV_FILE={file}")


def own_environment(file: Path) -> Path:
    """Write the environment file of a stack with a name and ports of its own."""
    output("bootstrap/environment.sh", file)
    text = re.sub(
        "(?m)^COMPOSE_PROJECT_NAME=.*", f"COMPOSE_PROJECT_NAME=drayage-{uuid.uuid4().hex[:8]}", file.read_text()
    )
    with ExitStack() as sockets:
        # All at once, or the machine might name the same port twice.
        free = [sockets.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(8)]
        ports = iter([each.getsockname()[1] for each in free])
        file.write_text(re.sub(r"(?m)^(\w+_PORT)=.*", lambda found: f"{found[1]}={next(ports)}", text))
    return file


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in the repository to its end, whatever its exit code."""
    return run("make", "--directory", REPOSITORY, *arguments)


def test_the_run_succeeds_and_every_check_of_the_audit_is_green(month: Month) -> None:
    checks = month.stack.checks("audit", month.launch.run_id)
    assert len(checks) == 6
    assert set(checks.values()) == {("ERROR", True)}


def test_counts_and_sums_are_those_under_docker(month: Month) -> None:
    stack = month.stack
    assert stack.committed_events(MONTH) == EVENTS
    assert len(stack.table_rows("bronze.raw_trips", MONTH)) == EVENTS
    assert len(stack.table_rows("silver.rejected_trips", MONTH)) == REJECTED
    for table in ("silver.cleaned_trips", "marts.fct_trips"):
        rows = stack.table_rows(table, MONTH)
        assert len(rows) == SILVER
        assert sum(row["total_amount_usd"] for row in rows) == TOTAL_USD


def test_each_step_was_a_pod_of_an_image_named_by_digest(month: Month) -> None:
    project = month.stack.project
    for step in STEPS:
        reported = month.stack.materialization(step, None if step == "kafka_topics" else MONTH)
        # Docker's ids are digits.
        assert reported["container_id"].startswith(f"{project}-"), step
        assert re.fullmatch("drayage/[a-z-]+@sha256:[0-9a-f]{64}", reported["image_id"]), step
    run_tags = month.stack.query(
        "query Tags($run: ID!) { runOrError(runId: $run) { ... on Run { tags { key value } } } }",
        run=month.launch.run_id,
    )["runOrError"]["tags"]
    images = {tag["key"]: tag["value"] for tag in run_tags if tag["key"].startswith("image/")}
    assert images.keys() == {"image/auditor", "image/dbt-runner", "image/flink-submit", "image/generator"}
    assert all(re.fullmatch("sha256:[0-9a-f]{12}", image) for image in images.values())


def test_dagster_runs_in_the_cluster_alone(month: Month) -> None:
    names = output("docker", "ps", "--all", "--format", "{{.Names}}", "--filter", f"name={month.stack.project}-")
    assert "dagster" not in names
    pods = json.loads(month.cluster.kubectl("get", "pods", "--namespace=drayage", "--output=json"))["items"]
    nodes = {pod["metadata"]["labels"].get("app"): pod["spec"]["nodeName"] for pod in pods}
    assert {"dagster-code", "dagster-daemon", "dagster-webserver"} <= nodes.keys()
    worker = f"dagster/run-id={month.launch.run_id}"
    jobs = json.loads(
        month.cluster.kubectl("get", "jobs", "--namespace=drayage", "--selector", worker, "--output=json")
    )
    assert [job["status"]["succeeded"] for job in jobs["items"]] == [1]


def test_no_step_is_left_and_its_records_are(month: Month) -> None:
    """The exchange root outlives the run worker: a retry adopts from it, and people look at its records."""
    left = month.cluster.kubectl("get", "pods", "--namespace=drayage", "--selector=drayage.dev/run", "--output=name")
    assert not left
    in_code = ("exec", "--namespace=drayage", "deployment/dagster-code", "--")
    said = month.cluster.kubectl(*in_code, "drayage", "steps", month.launch.run_id)
    assert "silver__cleaned_trips" in said


def test_a_later_run_starts_pods_ahead(month: Month) -> None:
    launch = month.stack.launch(MONTH, "--select", "kafka_topics,generate_events", "--source", "file")
    assert launch.exit_code == 0, launch.output
    events = month.stack.query(
        """
        query Logs($run: ID!) {
          logsForRun(runId: $run, limit: 1000) {
            ... on EventConnection { events { ... on LogMessageEvent { stepKey message } } }
          }
        }
        """,
        run=launch.run_id,
    )["logsForRun"]["events"]
    messages = [event["message"] for event in events if event.get("stepKey") == "generate_events"]
    assert [message for message in messages if re.search(r"was started [0-9.]+ s ahead", message)], messages


def test_secrets_are_in_no_config_map(month: Month) -> None:
    text = month.cluster.kubectl("get", "configmaps", "--namespace=drayage", "--output=yaml")
    assert "KAFKA_BOOTSTRAP_SERVERS" in text
    for name, value in month.stack.environment.items():
        if "PASSWORD" in name or "SECRET" in name:
            assert value not in text, name


def test_a_second_time_nothing_is_started_again(month: Month) -> None:
    pods = ("get", "pods", "--namespace=drayage", "--output=name", "--selector=app")
    before = month.cluster.kubectl(*pods)
    said = output("deploy/kubernetes/up.sh", month.stack.environment_file)
    assert f"127.0.0.1:{month.stack.port('DAGSTER_PORT')}" in said
    assert month.cluster.kubectl(*pods) == before


def test_down_leaves_nothing(month: Month) -> None:
    project = month.stack.project
    mounts = json.loads(output("docker", "inspect", *month.cluster.containers))
    anonymous = {mount["Name"] for container in mounts for mount in container["Mounts"] if mount["Type"] == "volume"}
    assert anonymous
    done = make("kubernetes-down", f"ENV_FILE={month.stack.environment_file}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not output("docker", "ps", "--all", "--quiet", "--filter", f"name={project}")
    assert not output("docker", "network", "ls", "--quiet", "--filter", f"name={project}")
    volumes = set(output("docker", "volume", "ls", "--quiet").splitlines())
    assert not volumes & anonymous
    assert not [volume for volume in volumes if volume.startswith(project)]
    assert not month.stack.environment_file.exists()
    assert not month.cluster.kubeconfig.parent.exists()
