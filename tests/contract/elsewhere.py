"""A second Docker engine on this machine that is reached through a network, and shares no files with this process.

It has a network namespace of its own, and a mount namespace in which the folders of the tests are empty. It listens on
TCP with and without TLS; a private ``sshd`` leads to its socket. Starting it needs root.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker

from drayage.mailbox import relay_image

IMAGES = ("debian:trixie-slim", "drayage/contract-workload")
_DEADLINE_S = 60.0
_TLS_PORT, _PLAIN_PORT = 2376, 2375


@dataclass(frozen=True)
class Elsewhere:
    """The engine, and how it is reached.

    Args:
        folder: The engine's own folder, which holds its socket, its log, certificates and keys.
        address: Its address in the private network.
        near: This machine's address in the private network.
        pid: Process id of the engine.
    """

    folder: Path
    address: str
    near: str
    pid: int

    @property
    def socket(self) -> Path:
        """Its socket, which only ``sshd`` and this module use."""
        return self.folder / "docker.sock"

    @property
    def plain(self) -> dict[str, str]:
        """The environment of a client that reaches it over TCP."""
        return {"DOCKER_HOST": f"tcp://{self.address}:{_PLAIN_PORT}"}

    @property
    def tls(self) -> dict[str, str]:
        """The environment of a client that reaches it over TLS."""
        return {
            "DOCKER_HOST": f"tcp://{self.address}:{_TLS_PORT}",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(self.folder / "tls"),
        }

    def load(self, *images: str) -> None:
        """Copy images from this machine's engine, unless it has them as they are."""
        here = docker.from_env()
        there = docker.DockerClient(base_url=f"unix://{self.socket}")
        try:
            known = {image.id for image in there.images.list()}
            for name in images:
                if here.images.get(name).id not in known:
                    there.images.load(here.api.get_image(name))
        finally:
            here.close()
            there.close()


def what_is_missing() -> str:
    """Return what this machine lacks to start the engine; empty if nothing."""
    programs = ("dockerd", "ip", "nsenter", "openssl", "ssh", "sshd", "unshare")
    lacking = [name for name in programs if shutil.which(name) is None]
    return ", ".join([*([] if os.geteuid() == 0 else ["root"]), *lacking])


@contextlib.contextmanager
def engine_elsewhere(*hidden: Path, images: Sequence[str] = IMAGES) -> Iterator[Elsewhere]:
    """Start the engine, and end it with everything that it made.

    Args:
        hidden: The folders of this machine that it does not see.
        images: The images that it gets from this machine's engine, besides the relay's.
    """
    folder = Path(tempfile.mkdtemp(prefix="drayage-elsewhere-", dir="/var/lib"))
    folder.chmod(0o755)
    number = os.getpid() % 16384
    network = f"10.213.{number // 64}.{4 * (number % 64)}"
    here, there = (f"{network.rpartition('.')[0]}.{4 * (number % 64) + host}" for host in (1, 2))
    name = f"dray{os.getpid()}"
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(_network(name, here, there))
        make_certificates(folder / "tls", there)
        process = stack.enter_context(_dockerd(folder, name, there, hidden))
        engine = Elsewhere(folder, there, here, process.pid)
        engine.load(*images, relay_image())
        yield engine


@contextlib.contextmanager
def _network(name: str, here: str, there: str) -> Iterator[None]:
    """Make a network namespace, and a pair of addresses to reach it."""
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", f"{name}h", "type", "veth", "peer", "name", f"{name}e", "netns", name)
        try:
            _run("ip", "addr", "add", f"{here}/30", "dev", f"{name}h")
            _run("ip", "link", "set", f"{name}h", "up")
            _run("ip", "-n", name, "addr", "add", f"{there}/30", "dev", f"{name}e")
            _run("ip", "-n", name, "link", "set", f"{name}e", "up")
            _run("ip", "-n", name, "link", "set", "lo", "up")
            _run("ip", "-n", name, "route", "add", "default", "via", here)
            yield
        finally:
            _run("ip", "link", "del", f"{name}h")
    finally:
        _run("ip", "netns", "del", name)


@contextlib.contextmanager
def _dockerd(folder: Path, name: str, address: str, hidden: Sequence[Path]) -> Iterator[subprocess.Popen[bytes]]:
    tls = folder / "tls"
    # `ip netns exec` would hide the control groups.
    command = ["nsenter", f"--net=/run/netns/{name}", "unshare", "--mount", "--propagation", "private", "sh", "-ec"]
    outermost = [path for path in hidden if not any(path != other and path.is_relative_to(other) for other in hidden)]
    hide = "".join(f"mount -t tmpfs none '{path}'\n" for path in outermost)
    options = [
        *(f"--{what}={folder}/{where}" for what, where in (("data-root", "data"), ("exec-root", "exec"))),
        f"--pidfile={folder}/pid",
        "--insecure-registry=10.213.0.0/16",
        f"-H unix://{folder}/docker.sock",
        f"-H tcp://{address}:{_TLS_PORT}",
        f"--tlsverify --tlscacert={tls}/ca.pem --tlscert={tls}/server.pem --tlskey={tls}/server-key.pem",
    ]
    script = f"{hide}exec dockerd {' '.join(options)}"
    with (folder / "log").open("wb") as log, subprocess.Popen([*command, script], stdout=log, stderr=log) as process:  # noqa: S603 - ours
        try:
            _await_answer(folder, process)
            with _plain_port(folder, name, address):
                yield process
        finally:
            with contextlib.suppress(docker.errors.DockerException, OSError):
                _remove_containers(folder)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
            # What the engine could not unmount would keep its folder.
            for line in reversed(Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()):
                if (where := line.split()[4]).startswith(f"{folder}/"):
                    subprocess.run(["umount", "--lazy", where], check=False)  # noqa: S603, S607 - ours


@contextlib.contextmanager
def _plain_port(folder: Path, name: str, address: str) -> Iterator[None]:
    """Lead a TCP port without TLS to the engine's socket: one engine has TLS on all of its ports, or on none."""
    forwarder = Path(__file__).with_name("tcp_forwarder.py")
    command = ["nsenter", f"--net=/run/netns/{name}", "python3", str(forwarder), address, str(_PLAIN_PORT)]
    with subprocess.Popen([*command, str(folder / "docker.sock")], stdout=subprocess.PIPE) as process:  # noqa: S603 - ours
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "the forwarder did not start"
            yield
        finally:
            process.kill()


def _await_answer(folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        with contextlib.suppress(docker.errors.DockerException):
            docker.DockerClient(base_url=f"unix://{folder}/docker.sock").close()
            return
        log = (folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
        assert process.poll() is None, f"the engine ended: {log}"
        assert time.monotonic() < deadline, f"the engine does not answer: {log}"
        time.sleep(0.1)


def _remove_containers(folder: Path) -> None:
    client = docker.DockerClient(base_url=f"unix://{folder}/docker.sock")
    for container in client.containers.list(all=True, ignore_removed=True):
        container.remove(force=True, v=True)
    client.close()


def make_certificates(folder: Path, address: str) -> None:
    """Make an authority, and certificates for an engine at an address and for its client, as Docker names the files."""
    folder.mkdir()
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _run("openssl", "req", "-x509", *key, "-days", "30", "-subj", "/CN=ca", "-keyout", "ca-key.pem", "-out", "ca.pem",
         cwd=folder)  # fmt: skip
    for who, extension in (
        ("server", f"subjectAltName=IP:{address},IP:127.0.0.1\nextendedKeyUsage=serverAuth"),
        ("client", "extendedKeyUsage=clientAuth"),
    ):
        (folder / f"{who}.ext").write_text(extension, encoding="ascii")
        _run("openssl", "req", *key, "-subj", f"/CN={who}", "-keyout", f"{who}-key.pem", "-out", f"{who}.csr",
             cwd=folder)  # fmt: skip
        _run("openssl", "x509", "-req", "-in", f"{who}.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial",
             "-days", "30", "-extfile", f"{who}.ext", "-out", f"{who}.pem", cwd=folder)  # fmt: skip
    # Some tests' hosts are another user than root.
    (folder / "client-key.pem").chmod(0o644)
    (folder / "client.pem").rename(folder / "cert.pem")
    (folder / "client-key.pem").rename(folder / "key.pem")


@dataclass(frozen=True)
class Door:
    """A private SSH server.

    Args:
        port: Its port on 127.0.0.1.
        folder: The folder with the client's key, configuration and known hosts.
        pid: Its process id.
    """

    port: int
    folder: Path
    pid: int

    def environment(self, socket: Path) -> dict[str, str]:
        """Return the environment of a client that reaches an engine's socket through it."""
        # `ssh` reads its configuration from the user's home alone, so a program in front of it names ours.
        return {
            "DOCKER_HOST": f"ssh://root@127.0.0.1:{self.port}{socket}",
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
        }


@contextlib.contextmanager
def ssh_door() -> Iterator[Door]:
    """Start a private SSH server that lets root in with a new key, and end it."""
    folder = Path(tempfile.mkdtemp(prefix="drayage-ssh-"))
    for name in ("id", "host"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    (folder / "authorized_keys").write_bytes((folder / "id.pub").read_bytes())
    port = _free_port()
    kind, key, *_ = (folder / "host.pub").read_text(encoding="ascii").split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n", encoding="ascii")
    (folder / "config").write_text(
        f"Host *\n  IdentityFile {folder}/id\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n"
        "  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n",
        encoding="ascii",
    )
    (folder / "bin").mkdir()
    (folder / "bin" / "ssh").write_text(
        f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n', encoding="ascii"
    )
    (folder / "bin" / "ssh").chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    options = {
        "AuthorizedKeysFile": folder / "authorized_keys",
        "HostKey": folder / "host",
        "ListenAddress": f"127.0.0.1:{port}",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
    }
    command = [str(shutil.which("sshd")), "-D", "-e", "-f", "/dev/null"]
    command += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:  # noqa: S603 - ours
        try:
            deadline = time.monotonic() + _DEADLINE_S
            while b"Server listening" not in (folder / "log").read_bytes():
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "sshd does not listen"
                time.sleep(0.02)
            yield Door(port, folder, process.pid)
        finally:
            process.terminate()
    shutil.rmtree(folder)


def _free_port() -> int:
    import socket  # noqa: PLC0415 - a property above has its name

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def client_environment(engine: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with another engine in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    return {**kept, **engine}
