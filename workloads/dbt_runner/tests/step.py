"""Run the command as the host does: in a separate process, with Pipes' context and messages in files."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_pipes import encode_param

WORKLOAD = Path(__file__).parents[1]
PROJECT = WORKLOAD.parents[1] / "sql" / "dbt"


@dataclass(frozen=True)
class Ended:
    """A finished step."""

    exit_code: int
    messages: list[dict[str, Any]]
    stdout: str
    stderr: str

    def reports(self, method: str) -> list[dict[str, Any]]:
        """List the parameters of all messages of one method."""
        return [message["params"] for message in self.messages if message["method"] == method]

    @property
    def materializations(self) -> dict[str, dict[str, Any]]:
        """The raw metadata of each materialized asset."""
        reports = self.reports("report_asset_materialization")
        assert all(count == 1 for count in Counter(report["asset_key"] for report in reports).values())
        return {
            report["asset_key"]: {name: value["raw_value"] for name, value in report["metadata"].items()}
            for report in reports
        }

    @property
    def checks(self) -> dict[str, dict[str, Any]]:
        """The checks by name."""
        return {report["check_name"]: report for report in self.reports("report_asset_check")}

    @property
    def log(self) -> str:
        """The log messages, one a line."""
        return "\n".join(report["message"] for report in self.reports("log"))

    @property
    def failure(self) -> str:
        """The message of the exception that Pipes was closed with; empty if there is none."""
        closed = self.reports("closed")
        exception = (closed[0] or {}).get("exception") if closed else None
        return str(exception["message"]).strip() if exception else ""


@dataclass(frozen=True)
class Runner:
    """Starts steps.

    Args:
        folder: Folder for the steps' files.
        environment: The environment that the container would have.
        manifest: The manifest that ``prepare_image`` wrote.
    """

    folder: Path
    environment: Mapping[str, str]
    manifest: Mapping[str, Any]

    def unique_id(self, name: str) -> str:
        """Return dbt's unique id of the node with this name."""
        return next(key for key, node in self.manifest["nodes"].items() if node["name"] == name)

    def start(
        self,
        *,
        command: str = "build",
        month: str | None = "2019-01",
        last_month: str | None = None,
        select: Sequence[str] = (),
        assets: Sequence[str] = (),
        extras: Mapping[str, Any] | None = None,
        **environment: str,
    ) -> "Started":
        """Start a step.

        Args:
            command: The command that the container runs.
            month: The step's partition.
            last_month: The step's last partition, if it has several.
            select: Names of the nodes to build; empty means all.
            assets: The step's assets; empty means those of the nodes.
            extras: Extras to send instead of the host's.
            environment: Environment variables to change, by lower-case name.
        """
        nodes = {
            key: node for key, node in self.manifest["nodes"].items() if node["resource_type"] in ("seed", "model")
        }
        keys = {key: f"{node['schema']}/{node['name']}" for key, node in nodes.items()}
        context = {
            "asset_keys": list(assets)
            or [keys[key] for key, node in nodes.items() if not select or node["name"] in select],
            "code_version_by_asset_key": {},
            "provenance_by_asset_key": {},
            "partition_key": None if last_month else month,
            "partition_key_range": {"start": month, "end": last_month or month} if month else None,
            "partition_time_window": None,
            "run_id": "run",
            "job_name": "job",
            "retry_number": 0,
            "extras": {"select": [self.unique_id(name) for name in select], "asset_keys": keys, "vars": {}}
            if extras is None
            else extras,
        }
        io = self.folder / f"io-{len(list(self.folder.glob('io-*')))}"
        io.mkdir()
        (io / "context.json").write_text(json.dumps(context))
        (io / "messages.jsonl").touch()
        with (io / "stdout").open("w") as stdout, (io / "stderr").open("w") as stderr:
            process = subprocess.Popen(  # noqa: S603  runs this Python with our own command
                [sys.executable, "-m", "dbt_runner", command],
                env={
                    **os.environ,
                    **self.environment,
                    "DAGSTER_PIPES_CONTEXT": encode_param({"path": str(io / "context.json")}),
                    "DAGSTER_PIPES_MESSAGES": encode_param({"path": str(io / "messages.jsonl")}),
                    **{name.upper(): value for name, value in environment.items()},
                },
                stdout=stdout,
                stderr=stderr,
            )
        return Started(process, io)

    def run(self, **arguments: Any) -> Ended:
        """Run a step to its end."""
        return self.start(**arguments).wait()


@dataclass(frozen=True)
class Started:
    """A running step."""

    process: subprocess.Popen[bytes]
    io: Path

    def messages(self) -> str:
        """Read the messages that the step has sent so far."""
        return (self.io / "messages.jsonl").read_text()

    def wait(self) -> Ended:
        """Wait for the step to end."""
        exit_code = self.process.wait(timeout=300)
        return Ended(
            exit_code,
            [json.loads(line) for line in self.messages().splitlines()],
            (self.io / "stdout").read_text(),
            (self.io / "stderr").read_text(),
        )
