"""The stack that `make up` started: its addresses and credentials, its engine, and what its Dagster knows."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx

_HTTP_TIMEOUT_S = 30.0

_MONTHS = """
query Months($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      partitionKeys
      assetMaterializations { partition }
    }
  }
}
"""
_REPORT = """
mutation Report($events: ReportRunlessAssetEventsParams!) {
  reportRunlessAssetEvents(eventParams: $events) {
    __typename
    ... on PythonError { message }
    ... on UnauthorizedError { message }
  }
}
"""


class BenchmarkError(Exception):
    """The benchmark cannot go on; its text says why and what to do."""


@dataclass(frozen=True)
class RunningStack:
    """A compose project, as its environment file describes it.

    Args:
        environment: The file's variables.
        engine: Where its containers run.
    """

    environment: Mapping[str, str]
    engine: docker.DockerClient

    @classmethod
    def read(cls, environment_file: Path) -> "RunningStack":
        """Read the file that `make up` wrote.

        Raises:
            BenchmarkError: There is none.
        """
        if not environment_file.is_file():
            raise BenchmarkError(f"There is no {environment_file}: start the services with 'make up'.")
        lines = environment_file.read_text(encoding="utf-8").splitlines()
        pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
        return cls(dict(pairs), docker.from_env())

    @property
    def project(self) -> str:
        """The compose project, which is the name of its network too."""
        return self.environment["COMPOSE_PROJECT_NAME"]

    def url(self, port_name: str) -> str:
        """Tell a service's address on this machine by the variable of its port."""
        return f"http://127.0.0.1:{self.environment[port_name]}"

    def credentials(self, names: list[str]) -> dict[str, str]:
        """Give credentials as environment variables, by their names in lower or upper case."""
        return {name.upper(): self.environment[name.upper()] for name in names}

    def take_months(self, count: int) -> list[str]:
        """Choose months that were never generated and have no file, newest first.

        Raises:
            BenchmarkError: Fewer than `count` are left.
        """
        node = self._ask(_MONTHS, {"key": {"path": ["generate_events"]}})["assetNodeOrError"]
        used = {event["partition"] for event in node["assetMaterializations"]}
        used |= {path.stem[-7:] for path in Path(self.environment["TAXI_DATA_DIR"]).glob("yellow_tripdata_*")}
        fresh = [month for month in reversed(node["partitionKeys"]) if month not in used][:count]
        if len(fresh) < count:
            raise BenchmarkError(
                f"{count} months that were never run are needed, and {len(fresh)} are left: start afresh with "
                "'make clean', or ask for fewer --runs and --sizes."
            )
        return fresh

    def mark_generated(self, month: str, by: str) -> None:
        """Tell Dagster that a month was sent past it, so that nobody takes it for a fresh one.

        Args:
            month: The month.
            by: What sent it.

        Raises:
            BenchmarkError: Dagster refuses.
        """
        events = {
            "eventType": "ASSET_MATERIALIZATION",
            "assetKey": {"path": ["generate_events"]},
            "partitionKeys": [month],
            "description": f"Sent by the benchmark, past Dagster: {by}.",
        }
        answer = self._ask(_REPORT, {"events": events})["reportRunlessAssetEvents"]
        if answer["__typename"] != "ReportRunlessAssetEventsSuccess":
            raise BenchmarkError(f"Dagster did not take note of {month}: {answer}.")

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        address = f"{self.url('DAGSTER_PORT')}/graphql"
        answer = httpx.post(address, json={"query": query, "variables": dict(variables)}, timeout=_HTTP_TIMEOUT_S)
        answer.raise_for_status()
        body = answer.json()
        if body.get("errors"):
            raise BenchmarkError(f"Dagster at {address} refuses the query: {body['errors']}")
        data: dict[str, Any] = body["data"]
        return data


def describe_machine() -> dict[str, Any]:
    """Return what a reader needs to compare figures: processors, memory in MiB, system and architecture.

    The load tells whether the machine was the benchmark's alone: mean number of runnable processes, last minute.
    """
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processors": os.cpu_count(),
        "memory_mib": memory_bytes // 2**20,
        "system": platform.platform(),
        "architecture": platform.machine(),
        "load_before": round(os.getloadavg()[0], 1),
    }
