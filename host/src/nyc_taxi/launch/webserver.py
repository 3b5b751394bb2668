"""The launcher's requests to the Dagster webserver."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from nyc_taxi.launch import queries
from nyc_taxi.launch.errors import CodeLocationError, RequestRefusedError, WebserverUnreachableError


@dataclass(frozen=True)
class Job:
    """A job and the repository that holds it.

    Args:
        location: The name of the code location.
        repository: The name of the repository.
        name: The name of the job.
    """

    location: str
    repository: str
    name: str

    @property
    def selector(self) -> dict[str, str]:
        """The job as a selector of GraphQL."""
        return {
            "repositoryLocationName": self.location,
            "repositoryName": self.repository,
            "pipelineName": self.name,
        }


@dataclass(frozen=True)
class JobAsset:
    """An asset that a job can materialize.

    Args:
        path: The parts of the asset's key.
        group: The asset's group.
        steps: The steps (ops) that make the asset.
        partitioned: Whether the asset is partitioned by month.
    """

    path: tuple[str, ...]
    group: str
    steps: tuple[str, ...]
    partitioned: bool

    @property
    def key(self) -> str:
        """The key as people write it."""
        return "/".join(self.path)


class Webserver:
    """A client of a Dagster webserver's GraphQL interface.

    Args:
        url: The webserver's address, without a path.
        client: The HTTP client, with its time-outs.
    """

    def __init__(self, url: str, client: httpx.Client) -> None:
        self.url = url.rstrip("/")
        self._client = client

    def run_url(self, run_id: str) -> str:
        """Return the address of a run's page in the UI."""
        return f"{self.url}/runs/{run_id}"

    def find_job(self, name: str) -> Job | None:
        """Find a job in the code locations.

        Args:
            name: The job's name.

        Returns:
            The job; None while a code location is still loading.

        Raises:
            CodeLocationError: Every code location has loaded or failed to load, and none has the job.
        """
        workspace = self._ask(queries.WORKSPACE, {})["workspaceOrError"]
        entries: list[dict[str, Any]] = workspace.get("locationEntries", [])
        offered: list[str] = []
        failures: list[str] = []
        for entry in entries:
            location = entry["locationOrLoadError"] or {}
            for repository in location.get("repositories", []):
                jobs = [pipeline["name"] for pipeline in repository["pipelines"]]
                if name in jobs:
                    return Job(location=entry["name"], repository=repository["name"], name=name)
                offered += [job for job in jobs if not job.startswith("__")]
            if location.get("__typename") == "PythonError":
                failures.append(f"{entry['name']}: {innermost(location)}")
        if any(entry["loadStatus"] == "LOADING" for entry in entries):
            return None
        if failures:
            raise CodeLocationError(f"Dagster could not load the pipeline. {' '.join(failures)}")
        raise CodeLocationError(
            f"Dagster at {self.url} has no job '{name}'; it has {', '.join(sorted(offered)) or 'none'}."
        )

    def list_assets(self, job: Job) -> list[JobAsset]:
        """List the assets that a job can materialize."""
        nodes = self._ask(queries.JOB_ASSETS, {"job": job.selector})["assetNodes"]
        return [
            JobAsset(
                path=tuple(node["assetKey"]["path"]),
                group=node["groupName"],
                steps=tuple(node["opNames"]),
                partitioned=node["isPartitioned"],
            )
            for node in nodes
        ]

    def launch(
        self,
        job: Job,
        *,
        assets: Sequence[JobAsset] | None,
        run_config: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> str:
        """Launch a run, with the mutation that the UI's button sends.

        Args:
            job: The job.
            assets: The assets to materialize; None means all assets of the job.
            run_config: The run's configuration.
            tags: The run's tags.

        Returns:
            The run's id.

        Raises:
            RequestRefusedError: Dagster refuses the run; the error has Dagster's reason.
        """
        selector: dict[str, Any] = dict(job.selector)
        if assets is not None:
            selector["assetSelection"] = [{"path": asset.path} for asset in assets]
        answer = self._ask(
            queries.LAUNCH,
            {
                "executionParams": {
                    "selector": selector,
                    "mode": "default",
                    "runConfigData": run_config,
                    "executionMetadata": {"tags": [{"key": key, "value": tags[key]} for key in tags]},
                }
            },
        )["launchPipelineExecution"]
        if answer["__typename"] != "LaunchRunSuccess":
            reasons = [error["message"] for error in answer.get("errors", [])] or [answer.get("message", "")]
            raise RequestRefusedError(f"Dagster refuses the run ({answer['__typename']}): {' '.join(reasons)}")
        return str(answer["run"]["id"])

    def read_run(self, run_id: str) -> dict[str, Any]:
        """Read a run's status and tags, as GraphQL returns them."""
        return self._read(queries.RUN, "runOrError", "Run", {"runId": run_id})

    def read_plan(self, run_id: str) -> dict[str, Any]:
        """Read which steps a run will execute, as GraphQL returns them; they do not change after the launch."""
        return self._read(queries.PLAN, "runOrError", "Run", {"runId": run_id})

    def read_events(self, run_id: str, cursor: str | None) -> dict[str, Any]:
        """Read a run's events after a cursor: ``events``, ``cursor`` and ``hasMore``."""
        variables = {"runId": run_id, "afterCursor": cursor}
        return self._read(queries.EVENTS, "logsForRun", "EventConnection", variables)

    def find_retry(self, run_id: str) -> str | None:
        """Return the id of the run that retries another; None if there is none yet."""
        runs = self._read(queries.RETRIES, "runsOrError", "Runs", {"runId": run_id})["results"]
        return str(runs[0]["id"]) if runs else None

    def _read(self, query: str, field: str, expected: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Send a query and return one field, which must be of the expected type."""
        answer: dict[str, Any] = self._ask(query, variables)[field]
        if answer["__typename"] != expected:
            raise RequestRefusedError(
                f"Dagster returned {answer['__typename']} instead of {expected}: {answer.get('message', '')}"
            )
        return answer

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Send a query or mutation, and return its data."""
        try:
            response = self._client.post(f"{self.url}/graphql", json={"query": query, "variables": dict(variables)})
            answer = response.json()
        except httpx.TransportError as error:
            raise WebserverUnreachableError(
                f"No Dagster webserver answers at {self.url} ({error}): start the services with 'make up', or set its "
                "address with --url."
            ) from error
        except ValueError as error:
            raise WebserverUnreachableError(
                f"What answers at {self.url} (HTTP {response.status_code}) is not a Dagster webserver: set the "
                "webserver's address with --url."
            ) from error
        if response.status_code != HTTPStatus.OK or answer.get("errors"):
            messages = [error.get("message", "") for error in answer.get("errors", [])]
            raise RequestRefusedError(
                f"Dagster at {self.url} cannot answer (HTTP {response.status_code}): {' '.join(messages)}"
            )
        data: dict[str, Any] = answer["data"]
        return data


def innermost(error: Mapping[str, Any]) -> str:
    """Return the message of an error's innermost cause, on one line and without the name of the exception.

    Args:
        error: A ``PythonError`` of GraphQL, with ``message``, ``className`` and ``causes``.

    Returns:
        The message.
    """
    causes = error.get("causes") or []
    first = causes[-1] if causes else error
    message = " ".join(str(first["message"]).split())
    name, separator, rest = message.partition(": ")
    looks_like_class = name.rpartition(".")[2] == first.get("className")
    return rest if separator and looks_like_class and rest else message
