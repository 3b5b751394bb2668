"""What the orchestrators' services have in common: their processes, their ports, and how they are waited for."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
from peers.usage import descendants, read_processes
from running_stack import BenchmarkError

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENTS = REPOSITORY / ".drayage" / "peers"

_HTTP_TIMEOUT_S = 30.0
_STOP_S = 20.0
_POLL_S = 0.2


@dataclass(frozen=True)
class RunRecord:
    """What an orchestrator recorded of a run that has ended.

    Args:
        started_at: When it says that the run started, in seconds since the epoch.
        ended_at: When it says that the run ended.
        numbers: The number that each step's container reported, by step.
    """

    started_at: float
    ended_at: float
    numbers: Mapping[str, int]


class Service(Protocol):
    """An orchestrator that runs."""

    def trigger(self, shape: str) -> str:
        """Create a run of a shape, and return its id."""

    def status(self, shape: str, run: str) -> str:
        """Return ``running``, ``success`` or ``failure``."""

    def record(self, shape: str, run: str) -> RunRecord:
        """Return what was recorded of a run that has ended."""


@dataclass
class Processes:
    """The processes of a service; each writes to a log of its own.

    Args:
        environment: Folder of the peer's environment of Python.
        home: Folder of the service's files.
        variables: What the processes have in their environment besides this process's own.
    """

    environment: Path
    home: Path
    variables: Mapping[str, str]
    _started: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def start(self, name: str, *command: str) -> None:
        """Start a program of the environment.

        Args:
            name: Name of its log.
            command: The program and its arguments.
        """
        with self._log(name).open("wb") as log:
            self._started.append((name, self._open(command, log.fileno())))

    def run(self, name: str, *command: str, timeout_s: float = 180.0) -> None:
        """Run a program of the environment to its end.

        Raises:
            BenchmarkError: It fails, or takes too long.
        """
        with self._log(name).open("wb") as log:
            process = self._open(command, log.fileno())
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise BenchmarkError(f"{name} took more than {timeout_s:.0f} s.") from error
        if code:
            raise BenchmarkError(f"{name} ended with {code}.")

    def wait_until(self, is_ready: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
        """Wait for a condition; what an address does not yet answer counts as not ready.

        Raises:
            BenchmarkError: A process has ended, or it takes too long.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(httpx.TransportError):
                if is_ready():
                    return
            self.check()
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{what} was not ready in {timeout_s:.0f} s.")
            time.sleep(_POLL_S)

    def check(self) -> None:
        """Raise a BenchmarkError if a process has ended."""
        for name, process in self._started:
            if process.poll() is not None:
                raise BenchmarkError(f"{name} ended with {process.returncode}.")

    def tails(self) -> str:
        """Say which processes have ended, and how, with the last lines of every log."""
        ended = [f"{name} has ended with {code}." for name, it in self._started if (code := it.poll()) is not None]
        logs = sorted(self.home.glob("*.log"), key=lambda path: path.stat().st_mtime)
        lines = {path.name: path.read_text(errors="replace").splitlines()[-25:] for path in logs}
        return "\n".join([*ended, *("\n".join([f"{name} ends with:", *last]) for name, last in lines.items())])

    def stop(self) -> None:
        """End the processes, and everything that they left behind: what descends from this process."""
        for _, process in self._started:
            process.terminate()
        deadline = time.monotonic() + _STOP_S
        for _, process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        deadline += _STOP_S
        while left := descendants(read_processes(), os.getpid()):
            if time.monotonic() > deadline:
                raise BenchmarkError(f"These processes do not end: {sorted(left)}. End them before the next round.")
            for it in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(it, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(_POLL_S)

    def _log(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def _open(self, command: Sequence[str], log: int) -> subprocess.Popen[bytes]:
        programs = self.environment / "bin"
        # Among them PYTHONDONTWRITEBYTECODE, with which each process would compile its imports for seconds.
        foreign = ("PYTHON", "VIRTUAL_ENV", "AIRFLOW", "DAGSTER", "DRAYAGE")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        variables = {**kept, "PATH": f"{programs}:{kept['PATH']}", "PYTHONUNBUFFERED": "1", **self.variables}
        return subprocess.Popen(  # noqa: S603 - ours
            [str(programs / command[0]), *command[1:]],
            env=variables,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@contextlib.contextmanager
def stopping(processes: Processes) -> Iterator[Processes]:
    """End the processes with the block; an error of the block gets the last lines of their logs."""
    try:
        yield processes
    except Exception as error:
        error.add_note(processes.tails())
        raise
    finally:
        processes.stop()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    """Say whether something listens on a port of 127.0.0.1."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def answers(address: str) -> bool:
    """Say whether an address answers with success."""
    return httpx.get(address, timeout=_HTTP_TIMEOUT_S).is_success


def ask(client: httpx.Client, method: str, path: str, **arguments: object) -> dict[str, object]:
    """Return the JSON that a service answers.

    Raises:
        BenchmarkError: It refuses.
    """
    answer = client.request(method, path, **arguments)  # type: ignore[arg-type]  # passed on
    if answer.is_error:
        raise BenchmarkError(f"{method} {answer.url} was answered with {answer.status_code}: {answer.text[:2000]}")
    found: dict[str, object] = answer.json()
    return found
