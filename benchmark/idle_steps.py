"""Measures what steps cost while they are silent: the process that follows them, and the engine that runs them.

Each step has a real container, which sleeps, and is launched, followed, measured and read by the runner's own threads,
as in a run. Dagster alone is missing: a silent step does not call it. All steps are in one process. The longer a step
has run, the more rarely it is sampled, so that the first minutes are waited for.
"""

import argparse
import contextlib
import json
import os
import socket
import struct
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

from report import RESULTS
from running_stack import describe_machine

from drayage.engine import Engine
from drayage.engines import default_engine
from drayage.exchange.directory import Exchange
from drayage.identity import EXCHANGE, Identity
from drayage.pipes.reader import MailboxReader
from drayage.request import ContainerRequest
from drayage.settings import StepSettings
from drayage.step.runner import Runner

_STARTED_AT_ONCE = 4
_SOCKET = "unix:///var/run/docker.sock"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Silent:
    """Takes the place of Dagster's message handler, which a silent step never calls."""

    received_closed_message = False


class IdleStep:
    """A step whose container sleeps.

    Args:
        engine: The engine that runs the container.
        exchange: The root of the exchange directories.
        image: The container's image; it has ``sleep``.
        number: Number of the step.
    """

    def __init__(self, engine: Engine, exchange: Exchange, image: str, number: int) -> None:
        deployment = f"benchmark-idle-{os.getpid()}"
        identity = Identity(deployment, run_id := f"run-{number}", run_id, "sleep", attempt=0, call=0)
        request = ContainerRequest(
            identity=identity, image=image, settings=StepSettings(), command=("sleep", "infinity")
        )
        self._engine = engine
        self._attempt = exchange.create(identity.directory)
        self._labels = {**identity.labels(), EXCHANGE: self._attempt.name}
        self._runner = Runner(request, engine, on_custom=lambda _: True)
        self._is_launched, self._is_running = Event(), False
        self._thread = Thread(target=self._run, name="drayage-step")

    def start(self) -> None:
        """Start the step, and return when its container runs.

        Raises:
            RuntimeError: It could not be started; the error is printed by its thread.
        """
        self._thread.start()
        self._is_launched.wait()
        if not self._is_running:
            raise RuntimeError("A step could not be started: see the error above.")

    def end(self) -> None:
        """Kill and remove the container, and wait for the step's end."""
        if self._runner.container_id is not None:
            self._engine.stop(self._runner.container_id, "SIGKILL", 0)
        if self._thread.ident is not None:
            self._thread.join()
        if self._runner.container_id is not None:
            self._engine.remove(self._runner.container_id)

    def _run(self) -> None:
        runner, attempt = self._runner, self._attempt
        try:
            with contextlib.ExitStack() as stack:
                mailbox = self._engine.mailbox(attempt.io, labels=self._labels)
                stack.callback(mailbox.collect)
                mailbox.put_context(b"{}")
                reader = MailboxReader(mailbox, kept_in=attempt.messages)
                logs = stack.enter_context(runner.open_logs(attempt, reader))
                stack.enter_context(reader.read_messages(runner.ledger.over(Silent())))  # type: ignore[arg-type]  # a stand-in
                launched = runner.launch(
                    lambda launcher: launcher.launch(attempt, mailbox, logs, bootstrap={}, fingerprint="idle")
                )
                self._is_running = True
                self._is_launched.set()
                for _ in runner.changes(launched, logs):
                    pass
                runner.result(launched, logs)
        finally:
            self._is_launched.set()


class ProcessorClock:
    """Reads how many processor seconds this process, each kind of its threads, and the engine have used."""

    def __init__(self) -> None:
        self._engine_processes = _with_children(_engine_process())

    def read(self) -> Counter[str]:
        """Return the processor seconds so far, by what used them."""
        used = Counter({"process": time.process_time(), "engine": sum(map(_processor_s, self._engine_processes))})
        for thread in threading.enumerate():
            with contextlib.suppress(OSError, TypeError):
                # A thread may have ended meanwhile.
                clock = time.pthread_getcpuclockid(thread.ident)  # type: ignore[arg-type]  # a thread that has started
                used[thread.name.split(" ")[0]] += time.clock_gettime(clock)
        return used


def main() -> None:
    """Start the steps, wait until they count as idle, and print the processors that 1,000 of them take."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=100, help="number of steps")
    arguments.add_argument("--image", default="debian:trixie-slim", help="the containers' image; it has `sleep`")
    arguments.add_argument("--idle-s", type=float, default=240.0, help="how long they have been idle, in seconds")
    arguments.add_argument("--measured-s", type=float, default=60.0, help="how long to measure, in seconds")
    options = arguments.parse_args()
    engine, clock = default_engine(), ProcessorClock()
    before = _measure(clock, options.measured_s / 4)["engine"]
    with tempfile.TemporaryDirectory() as root:
        steps = [IdleStep(engine, Exchange(Path(root)), options.image, number) for number in range(options.steps)]
        with _running(steps):
            print(f"{len(steps)} containers run", flush=True)
            time.sleep(options.idle_s)
            cores = _measure(clock, options.measured_s)
    cores["engine"] -= before
    per_1000 = {what: round(share * 1000 / len(steps), 3) for what, share in cores.most_common() if share > 0}
    print("processors that 1,000 idle steps take:", json.dumps(per_1000, indent=2), sep="\n")
    result = {"machine": describe_machine(), **vars(options), "engine_before": before, "processors_per_1000": per_1000}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"idle-steps-{time.strftime('%Y%m%dT%H%M%S')}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(path)


@contextlib.contextmanager
def _running(steps: list[IdleStep]) -> Iterator[None]:
    with ThreadPoolExecutor(_STARTED_AT_ONCE) as pool:
        try:
            list(pool.map(IdleStep.start, steps))
            yield
        finally:
            list(pool.map(IdleStep.end, steps))


def _measure(clock: ProcessorClock, seconds: float) -> Counter[str]:
    """Return the processors that are in use, by what uses them, over some seconds."""
    before, began = clock.read(), time.monotonic()
    time.sleep(seconds)
    after, taken_s = clock.read(), time.monotonic() - began
    return Counter({what: (after[what] - before[what]) / taken_s for what in after})


def _engine_process() -> int:
    """Return the id of the process that answers for the engine."""
    address = os.environ.get("DOCKER_HOST") or _SOCKET
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address.removeprefix("unix://"))
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def _with_children(process: int) -> list[int]:
    """Return a process and those that it started, such as containerd."""
    children = [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == process]
    return [process, *children]


def _parent(stat: Path) -> int | None:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _processor_s(process: int) -> float:
    # After the name: state, parent, and ten more before the ticks in user and in system mode (proc(5)).
    values = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / _TICKS_PER_S


if __name__ == "__main__":
    main()
