"""Times an engine's mailbox, where engine and host share files and where they do not, in alternation.

    PYTHONPATH=tests/contract .venv/bin/python benchmark/engines.py

The engine elsewhere is one of its own on this machine, behind a network of its own, as in the tests; it needs root. The
first message is timed from the opening of the mailbox to the first byte, with everything in the order in which a step
does it; messages and MiB from the first byte to the last, all read by the host.

Compare figures of the same run; figures of different runs compare only on a machine that does nothing else.
"""

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from elsewhere import Door, Elsewhere, engine_elsewhere, ssh_door
from report import RESULTS
from running_stack import describe_machine

from drayage.docker.engine import DockerEngine
from drayage.engine import ContainerSpec
from drayage.identity import DEPLOYMENT, EXCHANGE, RUN

IMAGE = "debian:trixie-slim"
MESSAGES = "/drayage/io/messages.jsonl"
_COUNT = 100_000
_LARGE_MIB = 64
_LINE = '{"__dagster_pipes_version":"0.1","method":"report_custom_message","params":{"payload":{"number":1}}}'
# One write for each message, as a Pipes library does.
_MANY = f"perl -e 'open(F, q(>>), q({MESSAGES})); syswrite(F, q({_LINE}).qq(\\n)) for 1..{_COUNT}'"
_LARGE = f"head -c {_LARGE_MIB}M /dev/zero | tr '\\0' x >> {MESSAGES}"
_FIRST = f"echo one >> {MESSAGES}"
_DEADLINE_S = 120.0


@dataclass(frozen=True)
class Timed:
    """How long one container's messages took.

    Args:
        first_s: From the opening of the mailbox to the first byte, in seconds.
        rest_s: From the first byte to the last, in seconds.
        size_bytes: How many bytes there were.
    """

    first_s: float
    rest_s: float
    size_bytes: int


class Bench:
    """One engine.

    Args:
        root: The exchange root.
        environment: What names the engine.
    """

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self._root = root
        self._beside = ThreadPoolExecutor(1)
        with patch.dict(os.environ, environment):
            self._engine = DockerEngine()
            # The connection, and whether it sees the root, are found out once in a process.
            self.run(_FIRST)

    def run(self, script: str) -> Timed:
        """Run a container in the order in which a step does it, and read its messages."""
        engine, name = self._engine, f"{uuid.uuid4().hex}/step/0"
        folder = self._root / name / "io"
        folder.mkdir(parents=True)
        labels = {DEPLOYMENT: "benchmark-engines", RUN: name[:32], EXCHANGE: name}
        began_at = time.monotonic()
        mailbox = engine.mailbox(folder, labels=labels)
        mailbox.reserve_context()
        creating = self._beside.submit(
            lambda: engine.create(
                ContainerSpec(IMAGE, command=["sh", "-c", script], labels=labels, mounts=mailbox.spec_part())
            )
        )
        mailbox.put_context(b"{}")
        container = creating.result().id
        with contextlib.closing(engine.follow(container)):
            engine.start(container)
            size_bytes = len(mailbox.read(0, timeout_s=_DEADLINE_S))
            first_at = time.monotonic()
            while chunk := mailbox.read(size_bytes, timeout_s=0) or self._more(container, mailbox, size_bytes):
                size_bytes += len(chunk)
            last_at = time.monotonic()
        mailbox.collect()
        engine.remove(container)
        return Timed(first_at - began_at, last_at - first_at, size_bytes)

    def _more(self, container: str, mailbox: Any, size_bytes: int) -> bytes:
        """Return what comes after a pause, until the container has ended and nothing more comes."""
        while not (chunk := mailbox.read(size_bytes, timeout_s=0.005)):
            if self._engine.await_end(container, 0) is not None:
                return bytes(mailbox.read(size_bytes, timeout_s=0))
        return bytes(chunk)


def main() -> None:
    """Measure, print, and keep the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=10, help="containers on each engine for the first message")
    arguments.add_argument(
        "--large-rounds", type=int, default=3, help="the same for many messages, and for a large one"
    )
    asked = arguments.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        engine_elsewhere(Path(tempfile.gettempdir()), images=(IMAGE,)) as it,
        ssh_door() as door,
    ):
        figures = dict(_measure(Path(folder), it, door, rounds=asked.rounds, large_rounds=asked.large_rounds))
    whole = {"machine": describe_machine(), "load": os.getloadavg(), **figures}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "engines.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(whole, indent=2))


def _measure(root: Path, it: Elsewhere, door: Door, *, rounds: int, large_rounds: int) -> Iterator[tuple[str, Any]]:
    benches = {"local": Bench(root, {}), "tls": Bench(root, it.tls), "ssh": Bench(root, door.environment(it.socket))}
    first = _alternate(benches, _FIRST, rounds)
    medians = {name: statistics.median(each.first_s for each in timed) for name, timed in first.items()}
    yield "first_message_ms", {name: round(1000 * median) for name, median in medians.items()}
    yield "first_message_ratio", {name: round(median / medians["local"], 2) for name, median in medians.items()}
    many = _alternate(benches, _MANY, large_rounds)
    yield "messages_per_second", {name: [round(_COUNT / it.rest_s) for it in timed] for name, timed in many.items()}
    large = _alternate(benches, _LARGE, large_rounds)
    yield (
        "large_mib_per_second",
        {name: [round(_LARGE_MIB / it.rest_s) for it in timed] for name, timed in large.items()},
    )
    sizes = {timed.size_bytes for each in large.values() for timed in each}
    if sizes != {_LARGE_MIB * 2**20}:
        raise RuntimeError(f"expected {_LARGE_MIB} MiB each time, got {sizes} bytes")


def _alternate(benches: dict[str, Bench], script: str, rounds: int) -> dict[str, list[Timed]]:
    timed: dict[str, list[Timed]] = {name: [] for name in benches}
    for _ in range(rounds):
        for name, bench in benches.items():
            timed[name].append(bench.run(script))
    return timed


if __name__ == "__main__":
    main()
