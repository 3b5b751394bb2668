"""Times the runner: the same small step bare, through the stock client and through drayage, in alternation.

Bare means docker-py's create, start, wait and remove, without Dagster. The two clients are timed from the asset's call
until it has the results, including the removal of the container if the client removes it (the stock client does not).
Then 100,000 custom messages go through one step, and twenty steps run at once.

Compare figures of the same run; figures of different runs compare only on a machine that does nothing else.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import docker
from dagster_docker import PipesDockerClient
from removals import await_removals
from report import RESULTS
from running_stack import describe_machine

from drayage import DrayageClient
from drayage.docker.connections import open_client

IMAGE = "debian:trixie-slim"
LABEL = "drayage/deployment"

_PIPES = """
set -eu
send() {{ printf '{{"__dagster_pipes_version":"0.1","method":"%s","params":%s}}\\n' "$1" "$2" >> {messages}; }}
send opened '{{"extras":{{}}}}'
{work}
send report_asset_materialization '{{"asset_key":"report","metadata":{{}},"data_version":null}}'
send closed '{{}}'
"""
_BURST = (
    'seq {count} | sed \'s/.*/{{"__dagster_pipes_version":"0.1","method":"report_custom_message",'
    '"params":{{"payload":{{"number":&,"text":"{text}"}}}}}}/\' >> /drayage/io/messages.jsonl'
)
# At least as long as a counter or a progress report.
_TEXT = "x" * 100


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark, whose containers carry its label.

    Args:
        name: Value of the deployment's label.
        root: Root of the exchange directories.
        engine: The Docker client.
    """

    name: str
    root: Path
    engine: docker.DockerClient

    def drayage(self) -> DrayageClient:
        """Return a client of this run's deployment."""
        return DrayageClient(exchange_root=self.root, deployment=self.name)

    def leftovers(self) -> list[Any]:
        """Return this run's containers that still exist."""
        return list(
            self.engine.containers.list(all=True, ignore_removed=True, filters={"label": f"{LABEL}={self.name}"})
        )


def main() -> None:
    """Run the benchmark, and print its ratios and the path of its result."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=30, help="number of steps of each kind")
    arguments.add_argument("--messages", type=int, default=100_000, help="number of custom messages through one step")
    arguments.add_argument("--at-once", type=int, default=20, help="number of steps at the same time")
    arguments.add_argument("--engine", choices=("docker", "kubernetes"), default="docker", help="where steps run")
    arguments.add_argument("--only-messages", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    # Dagster warns at each step of the stock client that the client is a preview.
    warnings.simplefilter("ignore", dg.PreviewWarning)
    if options.engine == "kubernetes":
        measure_pods(options.runs, options.messages, options.at_once)
        return
    engine = open_client()
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(f"benchmark-{uuid.uuid4().hex[:8]}", Path(root), engine)
        try:
            if options.only_messages:
                print(json.dumps(time_messages(bench, options.messages)))
                return
            result = {"machine": describe_machine(), "one_step": time_steps(bench, options.runs)}
            show_steps(result["one_step"])
            result["messages"] = time_messages_apart(options.messages)
            show_messages(result["messages"])
            result["at_once"] = time_at_once(bench, options.at_once)
            show_at_once(result["at_once"])
        finally:
            await_removals()
            for container in bench.leftovers():
                container.remove(force=True, v=True)
            engine.close()
    keep("runner", result)


def measure_pods(runs: int, messages: int, at_once: int) -> None:
    """Run the same on the cluster that KUBECONFIG names, print the figures, and the path of the result."""
    import runner_pods  # noqa: PLC0415 - needs dagster-k8s

    result: dict[str, Any] = {"machine": describe_machine()}

    def show(part: str, figures: Any) -> None:
        result[part] = figures
        print(json.dumps({part: figures}, indent=2), flush=True)

    with (
        tempfile.TemporaryDirectory() as root,
        runner_pods.PodBench(Path(root), IMAGE, _command) as it,
    ):
        show("one_step", runner_pods.time_steps(it, runs))
        burst = _BURST.format(count=messages, text=_TEXT)
        show("messages", runner_pods.time_messages(it, messages, burst))
        show("at_once", runner_pods.time_at_once(it, at_once))
        show("requests_a_minute_of_an_idle_step", runner_pods.count_requests(it))
        show("losses", runner_pods.compare_losses(it))
    keep("runner-kubernetes", result)


def keep(name: str, result: dict[str, Any]) -> None:
    """Write the result, and print the path of its file."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}-{time.strftime('%Y%m%dT%H%M%S')}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(path)


def show_steps(steps: dict[str, dict[str, Any]]) -> None:
    """Print the time of one step of each kind, and its ratio to the stock client's."""
    for kind, figures in steps.items():
        median_s = figures["median_s"]
        ratio = median_s / steps["stock"]["median_s"]
        print(f"one step, {kind:8} {median_s * 1000:6.0f} ms  {ratio:.2f} of the stock client", flush=True)


def show_messages(messages: dict[str, Any]) -> None:
    """Print the rate of messages, and the memory that they took."""
    print(
        f"{messages['messages']:,} messages: {messages['messages_per_second']:,.0f}/s; the host's peak is "
        f"{messages['peak_memory_mib']:.0f} MiB, {messages['growth_mib']:.0f} MiB above where it was before",
        flush=True,
    )


def show_at_once(walls: dict[str, float]) -> None:
    """Print the time of steps at the same time for each kind, and its ratio to the stock client's."""
    for kind in ("bare", "stock", "drayage"):
        ratio = walls[kind] / walls["stock"]
        print(f"{walls['steps']} at once, {kind:8} {walls[kind]:6.2f} s  {ratio:.2f} of the stock client", flush=True)


def time_steps(bench: Bench, runs: int) -> dict[str, dict[str, Any]]:
    """Time each kind of step, in alternation, so that a busy moment affects all of them.

    Args:
        bench: The benchmark.
        runs: Number of timed steps of each kind.

    Returns:
        Median, minimum, 90th percentile and every measured time in seconds, by kind.
    """
    kinds = _kinds(bench)
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for run in range(runs + 1):
        for kind, step in kinds.items():
            taken_s = step()
            # The first round is not counted: it fills imports, connections and the engine's caches.
            if run:
                seconds[kind].append(round(taken_s, 4))
            await_removals()
    return {
        kind: {
            "median_s": round(statistics.median(taken), 4),
            "min_s": min(taken),
            "p90_s": round(statistics.quantiles(taken, n=10)[-1], 4) if len(taken) > 1 else taken[0],
            "all_s": taken,
        }
        for kind, taken in seconds.items()
    }


def time_messages_apart(messages: int) -> dict[str, Any]:
    """Run :func:`time_messages` in a separate process, so that its peak memory is that of the messages alone."""
    command = [sys.executable, __file__, "--only-messages", "--messages", str(messages)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def time_messages(bench: Bench, messages: int) -> dict[str, Any]:
    """Time messages through one step.

    Args:
        bench: The benchmark.
        messages: Number of messages.

    Returns:
        Messages per second from the opening of Pipes to the verdict, including the time to write them; the step's
        seconds; and the host's peak memory in MiB, with its growth.
    """
    drayage, metadata = bench.drayage(), dict[str, Any]()
    _through(drayage, _command())  # imports and connections
    before_mib = _peak_mib()
    _through(drayage, _command(_BURST.format(count=messages, text=_TEXT)), metadata)
    between_s = metadata["duration_s"].value - metadata["start_s"].value
    return {
        "messages": messages,
        "messages_per_second": round(messages / between_s),
        "step_s": metadata["duration_s"].value,
        "peak_memory_mib": round(_peak_mib(), 1),
        "growth_mib": round(_peak_mib() - before_mib, 1),
    }


def time_at_once(bench: Bench, steps: int) -> dict[str, float]:
    """Time steps at the same time.

    Args:
        bench: The benchmark.
        steps: Number of steps.

    Returns:
        The number of steps, and the wall time in seconds by kind.
    """
    walls: dict[str, float] = {"steps": steps}
    for kind, step in _kinds(bench).items():
        together = threading.Barrier(steps + 1)

        def run(step: Callable[[], float] = step, together: threading.Barrier = together) -> None:
            together.wait()
            step()

        with ThreadPoolExecutor(steps) as pool:
            done = [pool.submit(run) for _ in range(steps)]
            together.wait()
            started = time.monotonic()
            for future in done:
                future.result()
        walls[kind] = round(time.monotonic() - started, 3)
    return walls


def _kinds(bench: Bench) -> dict[str, Callable[[], float]]:
    labels = {LABEL: bench.name}
    drayage = bench.drayage()
    return {
        "bare": lambda: _bare(bench.engine, labels),
        # A client for each step: the stock client stores a step's message handler, so steps that share a client at
        # the same time lose each other's messages, or fail.
        "stock": lambda: _through(
            PipesDockerClient(), _command(messages="/dev/stderr"), container_kwargs={"labels": labels}
        ),
        "drayage": lambda: _through(drayage, _command()),
    }


def _bare(engine: docker.DockerClient, labels: dict[str, str]) -> float:
    started = time.monotonic()
    container = engine.containers.create(IMAGE, _command(messages="/dev/stderr"), labels=labels)
    container.start()
    container.wait()
    container.remove()
    return time.monotonic() - started


def _through(
    client: PipesDockerClient, command: Sequence[str], metadata: dict[str, Any] | None = None, **run: Any
) -> float:
    """Run a step in an asset, and return how long the client's call took, in seconds."""
    taken_s = 0.0

    @dg.asset(name="report")
    def report(context: dg.AssetExecutionContext) -> Any:
        nonlocal taken_s
        started = time.monotonic()
        results = client.run(context=context, image=IMAGE, command=command, **run).get_results()
        taken_s = time.monotonic() - started
        if metadata is not None:
            metadata.update(results[0].metadata or {})
        yield from results

    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([report], instance=instance, run_config=quiet)
    return taken_s


def _command(work: str = ":", *, messages: str = "/drayage/io/messages.jsonl") -> list[str]:
    return ["sh", "-c", _PIPES.format(messages=messages, work=work)]


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
