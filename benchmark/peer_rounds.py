"""Times the same shapes of small container steps through Airflow, Dagster's default and drayage, in alternation.

Each peer has an environment and a PostgreSQL of its own, and is started anew for each round, alone. Timed is from the
request that creates a run to the end that the orchestrator itself records.

Compare figures of the same run; figures of different runs compare only on a machine that does nothing else.
"""

import argparse
import contextlib
import json
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
from peers.airflow_service import running_airflow
from peers.dagster_service import running_dagster
from peers.database import Database, empty_database
from peers.figures import BASE, as_markdown, draw, publish
from peers.services import ENVIRONMENTS, Service
from peers.shapes import AT_ONCE, SHAPES, number_of
from peers.usage import adopt_orphans, sampled, summarize
from report import RESULTS
from running_stack import BenchmarkError, describe_machine

PEERS = ("airflow", "dagster", "drayage")
_LABEL = "drayage/deployment"
_WARM_UP = "fan_of_20"
_POLL_S = 0.5
_RUN_S = 1800.0
_PACKAGES = ("apache-airflow", "apache-airflow-providers-docker", "dagster", "dagster-docker", "drayage")


def main() -> None:
    """Run the rounds, print the tables, and write the result; or publish one that was written."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3, help="number of rounds")
    arguments.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, help="which peers")
    arguments.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), default=tuple(SHAPES), help="which shapes")
    arguments.add_argument("--publish", type=Path, metavar="JSON", help="write this result into the documentation")
    options = arguments.parse_args()
    if options.publish:
        publish(json.loads(options.publish.read_text()))
        return
    adopt_orphans()
    result: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "versions": {peer: _versions(peer) for peer in options.peers},
        "at_once": AT_ONCE,
        "runs": [],
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"peers-{time.strftime('%Y%m%dT%H%M%S')}.json"
    for number in range(options.rounds):
        for peer in options.peers:
            with started(peer) as (service, database):
                timed(service, database, _WARM_UP)
                for shape in options.shapes:
                    run = {"round": number, "peer": peer, "shape": shape, **timed(service, database, shape)}
                    print(json.dumps(run), flush=True)
                    result["runs"].append(run)
                    path.write_text(json.dumps(result, indent=2) + "\n")
    if BASE in options.peers:
        draw(result).render_to_file(str(path.with_suffix(".svg")))
    print(as_markdown(result), path, sep="\n")


@contextlib.contextmanager
def started(peer: str) -> Iterator[tuple[Service, Database]]:
    """Start a peer with an empty database, and end both with everything that they left.

    Args:
        peer: One of ``PEERS``.
    """
    deployment = f"benchmark-{uuid.uuid4().hex[:8]}"
    engine = docker.from_env()
    with (
        contextlib.closing(engine),
        tempfile.TemporaryDirectory(prefix=f"{peer}-", ignore_cleanup_errors=True) as folder,
        empty_database(engine) as database,
    ):
        home = Path(folder)
        running = (
            running_airflow(database, home, deployment)
            if peer == "airflow"
            else running_dagster(peer, database, home, deployment)
        )
        try:
            with running as service:
                yield service, database
        finally:
            for container in engine.containers.list(all=True, filters={"label": f"{_LABEL}={deployment}"}):
                container.remove(force=True, v=True)


def timed(service: Service, database: Database, shape: str) -> dict[str, Any]:
    """Run a shape, and say what it took.

    Args:
        service: The peer.
        database: Its database.
        shape: The shape.

    Returns:
        Seconds to the run's start and to its end, as the peer recorded them, and what was used meanwhile.

    Raises:
        BenchmarkError: The run fails or takes too long, or a container's number did not arrive.
    """
    load = round(os.getloadavg()[0], 1)
    with sampled(database.process) as samples:
        began = time.time()
        run = service.trigger(shape)
        while (status := service.status(shape, run)) == "running":
            if time.time() - began > _RUN_S:
                raise BenchmarkError(f"{shape} did not end in {_RUN_S:.0f} s.")
            time.sleep(_POLL_S)
    if status != "success":
        raise BenchmarkError(f"{shape} ended with {status}.")
    record = service.record(shape, run)
    expected = {step: number_of(step) for step in SHAPES[shape]}
    wrong = {step: got for step in expected if (got := record.numbers.get(step)) != expected[step]}
    if wrong:
        raise BenchmarkError(f"{shape}: expected the containers' numbers, from 1000 on; got these instead: {wrong}.")
    return {
        "seconds": round(record.ended_at - began, 2),
        "to_start_s": round(record.started_at - began, 2),
        "load_before": load,
        **summarize(samples, began, record.ended_at),
    }


def _versions(peer: str) -> dict[str, str]:
    python = ENVIRONMENTS / peer / "bin" / "python"
    ask = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    done = subprocess.run([python, "-c", ask], check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    found: dict[str, str] = json.loads(done.stdout)
    return {name: found[name] for name in _PACKAGES if name in found}


if __name__ == "__main__":
    main()
