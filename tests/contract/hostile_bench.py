"""Runs hostile workloads on a host that is root or another user, and finds what they reached."""

import hashlib
import json
import os
import queue
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import docker
from hostile_attacks import Attack

SOCKET = Path("/var/run/docker.sock")
NOBODY = 65534
LONGEST_START_S = 180.0
# The longest step has 40 s, and a busy machine needs as long for everything around it.
LONGEST_ATTACK_S = 120.0
MOST_MEMORY_MIB = 640


@dataclass(frozen=True)
class Ended:
    """How an attack ended.

    Args:
        violations: What should not have happened.
        green: Whether its step was green.
        reason: Why it was red.
        seconds: How long the step took.
        memory_mib: The most memory that the host has used up to now.
    """

    violations: list[str]
    green: bool
    reason: str
    seconds: float
    memory_mib: int

    @classmethod
    def badly(cls, violation: str, seconds: float) -> Self:
        """Return the end of an attack that the host did not survive."""
        return cls([violation], green=False, reason="", seconds=seconds, memory_mib=0)


class HostileBench:
    """One host, and what it must protect.

    Args:
        folder: The host's own folder.
        process: The host.
    """

    def __init__(self, folder: Path, process: subprocess.Popen[str], *, as_root: bool) -> None:
        self._folder = folder
        self._process = process
        self._as_root = as_root
        self._canary = (folder / "victim").read_text(encoding="ascii")
        self._secret = (folder / "secret").read_text(encoding="ascii")
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._before = self._facts()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def end(self) -> None:
        """End the host."""
        self._process.kill()
        self._listener.join()

    def await_start(self) -> None:
        """Wait until the host takes attacks."""
        assert self._answers.get(timeout=LONGEST_START_S), "the host did not start"

    def run(self, attack: Attack, seed: str) -> Ended:
        """Run one attack, and look at what it did."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"attack": attack.name, "seed": seed}) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=LONGEST_ATTACK_S)
        except queue.Empty:
            self._process.kill()
            return Ended.badly(f"it hung the host for {LONGEST_ATTACK_S:g} s", LONGEST_ATTACK_S)
        except BrokenPipeError:
            line = ""
        if not line:
            return Ended.badly(f"it ended the host with code {self._process.wait()}", 0.0)
        found = json.loads(line)
        violations = [*self._wrong_verdict(attack, found), *self._traces(found), *found["strange"]]
        memory_mib = self._memory_mib()
        if memory_mib > MOST_MEMORY_MIB:
            violations.append(f"the host has used {memory_mib} MiB of memory")
        return Ended(violations, found["green"], found["reason"], found["step_s"], memory_mib)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def _wrong_verdict(self, attack: Attack, found: dict[str, Any]) -> Iterator[str]:
        pattern = attack.expected(as_root=self._as_root)
        if pattern is None and not found["green"]:
            yield f"expected green, got red: {found['reason'][:300]}"
        if pattern is not None and found["green"]:
            yield f"expected red ({pattern}), got green"
        if pattern is not None and not found["green"] and not re.search(pattern, found["reason"]):
            yield f"expected red ({pattern}), got red: {found['reason'][:300]}"
        if attack.ahead and not found["ahead"]:
            yield "its step did not take the container that stood by"

    def _traces(self, found: dict[str, Any]) -> Iterator[str]:
        """Yield what shows that the workload reached a file of the host, or that the host wrote a secret."""
        if self._facts() != self._before:
            yield "a file of the host was changed"
            self._before = self._facts()
        texts = {"what the host said": found["said"].encode()}
        for path in sorted((self._folder / "exchange" / found["run"]).rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                yield f"{path} is neither a file nor a folder"
            elif path.is_file():
                # A hole may be of any size.
                with path.open("rb") as file:
                    texts[str(path)] = file.read(2**26)
        for where, text in texts.items():
            if self._canary.encode() in text:
                yield f"the content of a file of the host is in {where}"
            if self._secret.encode() in text:
                yield f"the secret is in {where}"

    def _facts(self) -> list[Any]:
        facts = []
        for path in (self._folder / "victim", self._folder / "secret"):
            status = path.lstat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            facts.append((status.st_ino, status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, digest))
        return facts

    def _memory_mib(self) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) // 1024 if found else 0


@contextmanager
def hostile_bench(deployment: str, uid: int, *, log: Path) -> Iterator[HostileBench]:
    """Start a host as a user who may use the engine's socket, and end it.

    Args:
        deployment: The deployment's name.
        uid: Id of the user.
        log: Where the host's own output goes.
    """
    folder = Path(tempfile.mkdtemp(prefix="drayage-hostile-"))
    gid = SOCKET.stat().st_gid
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("victim", "secret"):
        (folder / name).write_text(f"{name}-{secrets.token_hex(16)}", encoding="ascii")
        (folder / name).chmod(0o600)
    for name in ("dagster", "exchange"):
        (folder / name).mkdir()
    if uid != os.geteuid():
        for path in (folder, *folder.iterdir()):
            os.chown(path, uid, gid)
    command = [
        sys.executable,
        str(Path(__file__).with_name("hostile_host.py")),
        str(folder),
        deployment,
        str(uid),
        str(gid),
    ]
    try:
        with (
            log.open("wb") as said,
            subprocess.Popen(  # noqa: S603 - ours
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, env=environment
            ) as process,
        ):
            bench = HostileBench(folder, process, as_root=uid == 0)
            try:
                bench.await_start()
                yield bench
            finally:
                bench.end()
    finally:
        _remove_everything(deployment)
        shutil.rmtree(folder)


def _remove_everything(deployment: str) -> None:
    """Remove what the host left on the engine."""
    engine, filters = docker.from_env(), {"label": f"drayage/deployment={deployment}"}
    for container in engine.containers.list(all=True, filters=filters, ignore_removed=True):
        # The host's own removal in the background may be under way.
        with suppress(docker.errors.APIError):
            container.remove(force=True, v=True)
    for volume in engine.volumes.list(filters=filters):
        volume.remove(force=True)
    engine.close()
