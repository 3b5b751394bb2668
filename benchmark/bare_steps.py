"""Measures the lower bound: the containers of a past run, started again without Dagster, for a month not yet run.

Image, command, environment, mounts, network and Pipes context are those that the run's exchange directories record,
except for the month. The work is therefore the same, and no step finds its rows there already. What is missing is
Dagster, the webserver's queue, the run worker, the reading of messages and logs, and the verdict.
"""

import io
import json
import tarfile
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from running_stack import BenchmarkError, RunningStack

_EXCHANGE_ROOT = "/var/lib/drayage/exchange"
_WORKLOAD_IO = "/drayage/io"
_LOG_LINES = 20
# The audit confirms what Dagster recorded for a month, and for a month of bare steps it recorded nothing.
_OF_DAGSTER = ("audit",)


@dataclass(frozen=True)
class RecordedContainer:
    """The record of one step's container.

    Args:
        record: Content of its ``container.json``.
        context: Its Pipes context.
    """

    record: dict[str, Any]
    context: dict[str, Any]

    @property
    def step(self) -> str:
        """The step's name, with slashes."""
        return str(self.record["identity"]["step"]).replace("__", "/")

    def context_of(self, month: str, topics: Mapping[str, str]) -> dict[str, Any]:
        """Return the context for another month.

        The time window is left out: it would still be the recorded month's, and no workload here reads it.

        Args:
            month: The month.
            topics: Other topics, by the name of their extra; those that are left out stay as recorded.
        """
        extras = {**(self.context.get("extras") or {}), **topics}
        changed = {**self.context, "partition_time_window": None, "extras": extras}
        if self.context.get("partition_key") is not None:
            changed["partition_key"] = month
        if self.context.get("partition_key_range") is not None:
            changed["partition_key_range"] = {"start": month, "end": month}
        return changed


def read_containers(stack: RunningStack, run_id: str) -> list[RecordedContainer]:
    """Read the records of a run's containers, in the order in which the containers were created.

    Args:
        stack: The running stack.
        run_id: Id of the run.

    Raises:
        BenchmarkError: The run recorded no container.
    """
    host = stack.engine.containers.get(f"{stack.project}-dagster-webserver")
    chunks, _ = host.get_archive(f"{_EXCHANGE_ROOT}/{run_id}")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        folders = [Path(name).parent for name in tar.getnames() if Path(name).name == "container.json"]
        found = [
            RecordedContainer(_read(tar, folder / "container.json"), _read(tar, folder / "io" / "context.json"))
            for folder in folders
        ]
    if not found:
        raise BenchmarkError(f"Run {run_id} recorded no container under {_EXCHANGE_ROOT}.")
    return sorted(found, key=lambda container: float(container.record["created_at_s"]))


def run_month(stack: RunningStack, containers: list[RecordedContainer], month: str, events: int) -> dict[str, Any]:
    """Run all steps of a month, one after the other.

    Args:
        stack: The running stack.
        containers: The containers of a run with the same number of events.
        month: A month that was never run.
        events: Number of trips that the steps synthesise.

    Returns:
        The figures of ``dagster_way.run_month``, without those that only Dagster's host measures.
    """
    stack.mark_generated(month, "its steps' containers without Dagster")
    started = time.monotonic()
    steps = [run_step(stack, container, month)[0] for container in containers if container.step not in _OF_DAGSTER]
    wall_s = time.monotonic() - started
    return {"way": "bare", "events": events, "month": month, "wall_s": round(wall_s, 2), "steps": steps}


def run_step(
    stack: RunningStack, container: RecordedContainer, month: str, *, topics: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Create, start, await and remove one step's container.

    Args:
        stack: The running stack.
        container: The record of the step's container in a past run.
        month: The month to run the step for.
        topics: Other topics, by the name of their extra; those that are left out stay as recorded.

    Returns:
        The step with its duration in seconds, and the metadata of its last materialization.

    Raises:
        BenchmarkError: The step did not exit with 0, did not close Pipes, closed it with an exception, or reported a
            check that failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        exchange = Path(folder)
        exchange.chmod(0o755)
        context = container.context_of(month, topics or {})
        (exchange / "context.json").write_text(json.dumps(context), encoding="utf-8")
        messages = exchange / "messages.jsonl"
        messages.touch()
        messages.chmod(0o666)
        started = time.monotonic()
        made = stack.engine.containers.create(**_creation(stack, container.record, exchange))
        try:
            made.start()
            exit_code = made.wait()["StatusCode"]
            said = [json.loads(line) for line in messages.read_text(encoding="utf-8").splitlines()]
            closed = [message for message in said if message["method"] == "closed"]
            if exit_code != 0 or not closed or (closed[0]["params"] or {}).get("exception"):
                log = made.logs(tail=_LOG_LINES).decode(errors="replace")
                raise BenchmarkError(f"The bare step {container.step} of {month} ended with code {exit_code}:\n{log}")
        finally:
            made.remove(force=True, v=True)
        seconds = time.monotonic() - started
    checks = [message["params"] for message in said if message["method"] == "report_asset_check"]
    failed = [check["check_name"] for check in checks if not check["passed"] and check["severity"] == "ERROR"]
    if failed:
        raise BenchmarkError(f"The bare step {container.step} of {month} failed its checks: {', '.join(failed)}.")
    reported = [message["params"] for message in said if message["method"] == "report_asset_materialization"]
    return {"step": container.step, "seconds": round(seconds, 2)}, reported[-1]["metadata"] if reported else {}


def _creation(stack: RunningStack, record: dict[str, Any], exchange: Path) -> dict[str, Any]:
    settings = record["settings"]
    volumes = {
        mount["source"]: {"bind": mount["target"], "mode": "ro" if mount["read_only"] else "rw"}
        for mount in settings.get("mounts", ())
    }
    environment = {name: value for name, value in record["environment"].items() if value is not None}
    return {
        "image": record["image_id"],
        "command": record["command"],
        # Drayage passes credentials as files; the workloads also accept them in the environment.
        "environment": environment | stack.credentials(list(record["secrets"])),
        "volumes": volumes | {str(exchange): {"bind": _WORKLOAD_IO, "mode": "rw"}},
        "network": stack.project,
        "user": settings.get("user"),
        "init": True,
    }


def _read(tar: tarfile.TarFile, name: Path) -> dict[str, Any]:
    file = tar.extractfile(str(name))
    if file is None:
        raise BenchmarkError(f"{name} in the exchange directory is not a regular file.")
    content: dict[str, Any] = json.load(file)
    return content
