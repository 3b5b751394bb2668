"""Dagster's services, for its stock client and for drayage: code server, webserver and daemon over PostgreSQL."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from peers.database import Database
from peers.services import ENVIRONMENTS, REPOSITORY, Processes, RunRecord, answers, ask, free_port, listens, stopping
from running_stack import BenchmarkError

_LAUNCH = """
mutation Launch($job: String!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "shapes", repositoryName: "__repository__", jobName: $job}
  }) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
_STATUS = "query Status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
_RECORD = """
query Record($run: ID!) {
  runOrError(runId: $run) {
    ... on Run {
      startTime
      endTime
      assetMaterializations { assetKey { path } metadataEntries { label ... on IntMetadataEntry { intValue } } }
    }
  }
}
"""
_ENDS = {"SUCCESS": "success", "FAILURE": "failure", "CANCELED": "failure"}


class DagsterService:
    """A running Dagster.

    Args:
        client: Client of its webserver.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def trigger(self, shape: str) -> str:
        """Create a run of a shape, and return its id."""
        answer = self._ask(_LAUNCH, job=shape)["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise BenchmarkError(f"Dagster did not launch {shape}: {answer}")
        return str(answer["run"]["runId"])

    def status(self, shape: str, run: str) -> str:  # noqa: ARG002 - Airflow needs the shape
        """Return ``running``, ``success`` or ``failure``."""
        return _ENDS.get(self._ask(_STATUS, run=run)["runOrError"]["status"], "running")

    def record(self, shape: str, run: str) -> RunRecord:  # noqa: ARG002 - as above
        """Return what was recorded of a run that has ended."""
        found = self._ask(_RECORD, run=run)["runOrError"]
        numbers = {
            event["assetKey"]["path"][-1]: entry["intValue"]
            for event in found["assetMaterializations"]
            for entry in event["metadataEntries"]
            if entry["label"] == "number"
        }
        return RunRecord(found["startTime"], found["endTime"], numbers)

    def _ask(self, query: str, **variables: str) -> dict[str, Any]:
        body: dict[str, Any] = ask(self._client, "POST", "/graphql", json={"query": query, "variables": variables})
        if body.get("errors"):
            raise BenchmarkError(f"Dagster refused the query: {body['errors']}")
        data: dict[str, Any] = body["data"]
        return data


@contextlib.contextmanager
def running_dagster(peer: str, database: Database, home: Path, deployment: str) -> Iterator[DagsterService]:
    """Start Dagster with its default launcher, and end it with the block.

    Args:
        peer: ``dagster``, or ``drayage`` for its client, executor and daemon.
        database: The storage, empty.
        home: An empty folder.
        deployment: Label of the steps' containers.
    """
    code, web = free_port(), free_port()
    storage = {
        "scheme": "postgresql+psycopg2",
        "hostname": "127.0.0.1",
        "port": database.port,
        "db_name": database.name,
        "username": database.user,
        "password": database.password,
    }
    # JSON is YAML.
    (home / "dagster.yaml").write_text(
        json.dumps({"storage": {"postgres": {"postgres_db": storage}}, "telemetry": {"enabled": False}})
    )
    location = {"host": "127.0.0.1", "port": code, "location_name": "shapes"}
    (home / "workspace.yaml").write_text(json.dumps({"load_from": [{"grpc_server": location}]}))
    benchmark = REPOSITORY / "benchmark"
    variables = {
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(benchmark),
        "PEER": peer,
        "DRAYAGE_DEPLOYMENT": deployment,
    }
    with (
        stopping(Processes(ENVIRONMENTS / peer, home, variables)) as processes,
        httpx.Client(base_url=f"http://127.0.0.1:{web}", timeout=60.0) as client,
    ):
        processes.run("migrate", "dagster", "instance", "migrate")
        shapes = str(benchmark / "peers" / "dagster_shapes.py")
        at = ("--host", "127.0.0.1", "--port")
        processes.start("code", "dagster", "api", "grpc", "--python-file", shapes, *at, str(code))
        # It listens when it has loaded the definitions.
        processes.wait_until(lambda: listens(code), "Dagster's code server")
        daemon = ("drayage", "daemon") if peer == "drayage" else ("dagster-daemon", "run")
        processes.start("daemon", *daemon, "--workspace", "workspace.yaml")
        processes.start("webserver", "dagster-webserver", "--workspace", "workspace.yaml", *at, str(web))
        processes.wait_until(lambda: answers(f"http://127.0.0.1:{web}/server_info"), "Dagster's webserver")
        yield DagsterService(client)
