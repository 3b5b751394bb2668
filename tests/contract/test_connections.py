"""An engine elsewhere is reached over TCP, TLS, SSH and a Docker context, and a step on it is like any other."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import docker
import pytest
import requests
from contract_steps import GREEN, SHELL_IMAGE, Deployment, EngineEvents, materialize, shell, step, wait_until
from elsewhere import Door, Elsewhere, ssh_door

from drayage.docker.connections import open_client
from drayage.docker.engine import DockerEngine
from drayage.engine import ContainerSpec
from drayage.errors import EngineError, EngineUnavailableError

pytestmark = pytest.mark.engine

LABELS = {"drayage-connections": str(os.getpid())}


@pytest.fixture(scope="module")
def door(elsewhere: Elsewhere) -> Iterator[Door]:  # noqa: ARG001 - it says what the machine lacks
    with ssh_door() as opened:
        yield opened


def context_for(elsewhere: Elsewhere, folder: Path) -> dict[str, str]:
    """Make a Docker context for the engine, with Docker's own command, and return what chooses it."""
    environment = {"DOCKER_CONFIG": str(folder), "DOCKER_CONTEXT": "there"}
    tls = elsewhere.tls["DOCKER_CERT_PATH"]
    described = f"host={elsewhere.tls['DOCKER_HOST']},ca={tls}/ca.pem,cert={tls}/cert.pem,key={tls}/key.pem"
    (folder / "config.json").write_text("{}")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    subprocess.run(  # noqa: S603 - Docker's own
        ["docker", "context", "create", "there", "--docker", described],  # noqa: S607 - as above
        check=True,
        env={**kept, "DOCKER_CONFIG": str(folder)},
        stdout=subprocess.DEVNULL,
    )
    return environment


@pytest.fixture(params=["tcp", "tls", "ssh", "context"])
def there(
    request: pytest.FixtureRequest,
    elsewhere: Elsewhere,
    door: Door,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Let the environment name the engine in one of the ways, and return which."""
    ways = {
        "tcp": lambda: elsewhere.plain,
        "tls": lambda: elsewhere.tls,
        "ssh": lambda: door.environment(elsewhere.socket),
        "context": lambda: context_for(elsewhere, tmp_path),
    }
    for name, value in ways[request.param]().items():
        monkeypatch.setenv(name, value)
    return str(request.param)


def deployment_on(elsewhere: Elsewhere, root: Path) -> Deployment:
    client = docker.DockerClient(base_url=f"unix://{elsewhere.socket}")
    name = f"connections-{os.getpid()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{elsewhere.socket}")
        return Deployment(name, root, client, EngineEvents(name))


@pytest.fixture
def deployment(elsewhere: Elsewhere, tmp_path: Path) -> Iterator[Deployment]:
    made = deployment_on(elsewhere, tmp_path / "exchange")
    try:
        yield made
    finally:
        made.remove_everything()
        made.events.close()
        made.engine.close()


@pytest.mark.usefixtures("there")
def test_a_step_is_green_and_leaves_nothing(instance: dg.DagsterInstance, deployment: Deployment) -> None:
    outcome = materialize(instance, deployment.client(), step(shell(GREEN)))
    assert outcome.success, outcome.failure
    assert outcome.materializations[0]["rows"] == 3
    assert deployment.left_behind() == []


@pytest.mark.usefixtures("there")
def test_a_line_arrives_when_it_is_said() -> None:
    """Beneath the buffer of TLS, docker-py's own reader would wait for the next line, which never comes."""
    engine = DockerEngine()
    container = engine.create(ContainerSpec(SHELL_IMAGE, ["sh", "-c", "echo one; sleep 600"], labels=LABELS)).id
    output = engine.follow(container)
    try:
        engine.start(container)
        chunks = iter(output)
        assert next(chunks) == ("stdout", b"one\n")
    finally:
        output.close()
        engine.remove(container)


def test_other_certificates_of_the_environment_do_not_matter(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bundle.pem").write_bytes(Path("/etc/ssl/certs/ca-certificates.crt").read_bytes())
    for name, value in {**elsewhere.tls, "REQUESTS_CA_BUNDLE": str(tmp_path / "bundle.pem")}.items():
        monkeypatch.setenv(name, value)
    assert DockerEngine().resolve(SHELL_IMAGE, pull="never")


def test_an_engine_that_another_authority_vouches_for_is_refused(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_bytes((elsewhere.folder / "tls" / name).read_bytes())
    (tmp_path / "ca.pem").write_bytes(Path("/etc/ssl/certs/ca-certificates.crt").read_bytes())
    for name, value in {**elsewhere.tls, "DOCKER_CERT_PATH": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EngineUnavailableError, match=rf"{elsewhere.address}:2376.*certificate verify failed"):
        DockerEngine().resolve(SHELL_IMAGE, pull="never")


def test_a_client_without_a_certificate_is_refused(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{elsewhere.address}:2376")
    with pytest.raises(EngineError):
        DockerEngine().resolve(SHELL_IMAGE, pull="never")


def test_a_socket_that_is_not_there_is_told_in_the_words_of_ssh(
    elsewhere: Elsewhere, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in door.environment(elsewhere.folder / "no.sock").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EngineUnavailableError, match="open failed"):
        DockerEngine().resolve(SHELL_IMAGE, pull="never")


def test_a_tunnel_that_breaks_within_a_step_is_opened_again(
    instance: dg.DagsterInstance,
    deployment: Deployment,
    elsewhere: Elsewhere,
    door: Door,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in door.environment(elsewhere.socket).items():
        monkeypatch.setenv(name, value)

    script = f"opened; custom 1; echo up; while [ ! -e /go ]; do sleep 0.05; done; {GREEN.removeprefix('opened; ')}"
    broken: list[int] = []

    def break_it() -> None:
        wait_until(deployment.running, what="the step's container")
        for child in _children(os.getpid()):
            if child[1][0].endswith("/ssh") and "-N" in child[1]:
                os.kill(child[0], signal.SIGKILL)
                broken.append(child[0])
        deployment.release()

    breaking = threading.Thread(target=break_it)
    breaking.start()
    outcome = materialize(instance, deployment.client(), step(shell(script)))
    breaking.join()
    assert broken
    assert outcome.success, outcome.failure


def _children(pid: int) -> list[tuple[int, list[str]]]:
    """Return id and command line of all processes below one."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            words = (path / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if parent == pid:
            found += [(int(path.name), words), *_children(int(path.name))]
    return found


def test_no_connection_is_closed_under_a_thread_that_reads_from_it() -> None:
    """docker-py closes the connections of the least used address, even in use: a lost answer is a lost container."""
    engine = open_client()
    adapter = engine.api.get_adapter(engine.api.base_url)
    create = adapter.get_connection(f"{engine.api.base_url}/containers/create")
    for number in range(100):
        assert adapter.get_connection(f"{engine.api.base_url}/containers/{number}/json") is create
    assert create.pool is not None
    assert engine.ping()
    engine.close()


def test_what_the_environment_says_of_other_hosts_is_not_looked_up_for_the_engines_socket(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Proxies and passwords of others do not concern the engine, and looking them up takes time at every request."""
    passwords = tmp_path / "netrc"
    passwords.write_text("machine localhost login somebody password hush-hush\n")
    monkeypatch.setenv("NETRC", str(passwords))
    engine = open_client()
    request = engine.api.prepare_request(requests.Request("GET", f"{engine.api.base_url}/info"))
    assert "Authorization" not in request.headers
    assert engine.ping()
    engine.close()
