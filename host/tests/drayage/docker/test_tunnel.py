"""The tunnel to an engine that is reached over SSH; a program in the place of ``ssh`` leads to a socket here."""

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drayage.docker.tunnel import Tunnel
from drayage.errors import EngineUnavailableError, SettingsError

DEADLINE_S = 20.0
SSH = """#!{python}
import os, socket, sys
words = sys.argv[1:]
open({log!r}, "a").write(" ".join(words) + "\\n")
open({log!r} + ".pid", "w").write(str(os.getpid()))
near, _, far = words[words.index("-L") + 1].partition(":")
server = socket.create_server(near, family=socket.AF_UNIX)
while True:
    try:
        server.accept()[0].sendall(far.encode())
    except OSError:
        # Whoever only looked whether it is there has gone.
        pass
"""


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    return False


class FakeSsh:
    """Programs named ``ssh``, the only ones on the path."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "bin" / "ssh"
        self._log = folder / "calls"
        self._program.parent.mkdir()
        self.path = str(self._program.parent)

    def leads(self) -> None:
        self.says(SSH.format(python=sys.executable, log=str(self._log)))

    def says(self, script: str) -> None:
        self._program.write_text(script)
        self._program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines()

    @property
    def pid(self) -> int:
        return int(Path(f"{self._log}.pid").read_text())


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    fake = FakeSsh(tmp_path)
    monkeypatch.setenv("PATH", f"{fake.path}:/usr/bin:/bin")
    return fake


@pytest.fixture
def opened() -> Iterator[Callable[[str], Tunnel]]:
    with contextlib.ExitStack() as stack:

        def make(url: str) -> Tunnel:
            tunnel = Tunnel(url)
            stack.callback(tunnel.close)
            return tunnel

        yield make


def said_at(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        return client.recv(100).decode()


def test_it_leads_to_the_engines_socket(ssh: FakeSsh, opened: Callable[[str], Tunnel]) -> None:
    ssh.leads()
    assert said_at(opened("ssh://me@there:2222").require()) == "/var/run/docker.sock"
    (call,) = ssh.calls
    assert call.startswith("-N -T -p 2222 -L ")
    assert call.endswith("-- me@there")
    assert "BatchMode=yes" in call


def test_the_address_may_name_another_socket(ssh: FakeSsh, opened: Callable[[str], Tunnel]) -> None:
    ssh.leads()
    assert said_at(opened("ssh://there/run/user/1000/docker.sock").require()) == "/run/user/1000/docker.sock"
    assert ssh.calls[0].endswith("-- there")


def test_many_threads_open_one(ssh: FakeSsh, opened: Callable[[str], Tunnel]) -> None:
    ssh.leads()
    tunnel, paths = opened("ssh://there"), []
    threads = [threading.Thread(target=lambda: paths.append(tunnel.require())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert len(paths) == 8
    assert len(ssh.calls) == 1


def test_one_that_died_is_opened_again(ssh: FakeSsh, opened: Callable[[str], Tunnel]) -> None:
    ssh.leads()
    tunnel = opened("ssh://there")
    first = tunnel.require()
    os.kill(ssh.pid, signal.SIGKILL)
    wait_until(lambda: not Path(first).exists(), "its folder stays")
    assert said_at(tunnel.require()) == "/var/run/docker.sock"
    assert len(ssh.calls) == 2


def test_it_leaves_no_process_and_no_folder(ssh: FakeSsh, opened: Callable[[str], Tunnel]) -> None:
    ssh.leads()
    tunnel = opened("ssh://there")
    path = Path(tunnel.require())
    tunnel.close()
    assert not path.parent.exists()
    wait_until(lambda: not is_alive(ssh.pid), "it lives on")


def test_it_ends_when_nothing_uses_it_any_more(ssh: FakeSsh) -> None:
    """A code location that is loaded again makes another client, and forgets the first."""
    ssh.leads()
    Tunnel("ssh://there").require()
    gc.collect()
    wait_until(lambda: not is_alive(ssh.pid), "it lives on")


def test_it_ends_when_its_process_is_killed(ssh: FakeSsh) -> None:
    """The process cannot do anything about it then."""
    ssh.leads()
    script = (
        "from drayage.docker.tunnel import Tunnel\n"
        "tunnel = Tunnel('ssh://there'); print(tunnel.require(), flush=True); input()"
    )
    with subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().strip())
        assert is_alive(ssh.pid)
        process.kill()
    wait_until(lambda: not is_alive(ssh.pid), "it lives on")
    wait_until(lambda: not path.parent.exists(), "its folder stays")


def test_a_refusal_is_told_in_its_own_words(ssh: FakeSsh, opened: Callable[[str], Tunnel]) -> None:
    ssh.says("#!/bin/sh\necho 'me@there: Permission denied (publickey).' >&2; exit 255\n")
    with pytest.raises(EngineUnavailableError, match=r"Permission denied \(publickey\).*Try `ssh -p 22 me@there true`"):
        opened("ssh://me@there:22").require()


def test_a_missing_program_is_told(monkeypatch: pytest.MonkeyPatch, opened: Callable[[str], Tunnel]) -> None:
    monkeypatch.setenv("PATH", "/no/such/folder")
    with pytest.raises(SettingsError, match="no `ssh` program"):
        opened("ssh://there").require()


def test_a_password_in_the_address_is_refused() -> None:
    with pytest.raises(SettingsError, match="without a password"):
        Tunnel("ssh://me:secret@there")
