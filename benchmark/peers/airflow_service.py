"""Airflow's services: API server, scheduler with the LocalExecutor, and DAG processor over PostgreSQL."""

import contextlib
import datetime as dt
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from peers.database import Database
from peers.services import ENVIRONMENTS, REPOSITORY, Processes, RunRecord, answers, ask, free_port, stopping
from peers.shapes import AT_ONCE, SHAPES

_ENDS = {"success": "success", "failed": "failure"}


class AirflowService:
    """A running Airflow.

    Args:
        client: Client of its API server, with a token.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def knows(self, shape: str) -> bool:
        """Say whether the DAG processor has read a shape."""
        return self._client.get(f"/api/v2/dags/{shape}").is_success

    def trigger(self, shape: str) -> str:
        """Create a run of a shape, and return its id."""
        answer = ask(self._client, "POST", f"/api/v2/dags/{shape}/dagRuns", json={"logical_date": None})
        return str(answer["dag_run_id"])

    def status(self, shape: str, run: str) -> str:
        """Return ``running``, ``success`` or ``failure``."""
        found = ask(self._client, "GET", f"/api/v2/dags/{shape}/dagRuns/{run}")
        return _ENDS.get(str(found["state"]), "running")

    def record(self, shape: str, run: str) -> RunRecord:
        """Return what was recorded of a run that has ended."""
        path = f"/api/v2/dags/{shape}/dagRuns/{run}"
        found = ask(self._client, "GET", path)
        numbers = {}
        for step in SHAPES[shape]:
            entry: dict[str, Any] = ask(self._client, "GET", f"{path}/taskInstances/{step}/xcomEntries/return_value")
            numbers[step] = int(entry["value"])
        return RunRecord(_seconds(found["start_date"]), _seconds(found["end_date"]), numbers)


@contextlib.contextmanager
def running_airflow(database: Database, home: Path, deployment: str) -> Iterator[AirflowService]:
    """Start Airflow's three services, and end them with the block.

    Args:
        database: The storage, empty.
        home: An empty folder.
        deployment: Label of the steps' containers.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    dags = home / "dags"
    dags.mkdir()
    shutil.copy(REPOSITORY / "benchmark" / "peers" / "airflow_shapes.py", dags)
    variables = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        # Everyone is an administrator, on 127.0.0.1 alone.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(48),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url(),
        # All tasks that may go at once are queued in one turn of the scheduler; by default it takes 16.
        "AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": str(AT_ONCE),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "BENCHMARK": str(REPOSITORY / "benchmark"),
        "DRAYAGE_DEPLOYMENT": deployment,
    }
    with (
        stopping(Processes(ENVIRONMENTS / "airflow", home, variables)) as processes,
        httpx.Client(base_url=address, timeout=60.0) as client,
    ):
        processes.run("migrate", "airflow", "db", "migrate")
        processes.start("api-server", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port))
        processes.start("scheduler", "airflow", "scheduler")
        processes.start("dag-processor", "airflow", "dag-processor")
        processes.wait_until(lambda: answers(f"{address}/api/v2/version"), "Airflow's API server")
        token = ask(client, "GET", "/auth/token")["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        service = AirflowService(client)
        for shape in SHAPES:
            processes.wait_until(lambda shape=shape: service.knows(shape), f"Airflow's DAG {shape}")  # type: ignore[misc]
        yield service


def _seconds(moment: object) -> float:
    return dt.datetime.fromisoformat(str(moment)).timestamp()
