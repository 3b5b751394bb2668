"""The engine restarts under a step while its containers keep running: the test's own engine, with live-restore."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import docker
import pytest
from contract_steps import GREEN, SHELL_IMAGE, materialize, shell, step, wait_until

from drayage import DrayageClient

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("dockerd"), reason="needs root and dockerd"),
]


@dataclass
class OwnEngine:
    """A second dockerd beside the machine's own."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return the address for ``DOCKER_HOST``."""
        return f"unix://{self.folder}/sock"

    def start(self) -> docker.DockerClient:
        """Start or restart it, and wait until it answers."""
        # In its own network namespace: an engine that does not use docker0 removes it, and this is the machine's.
        words = [
            "unshare",
            "--net",
            "dockerd",
            "--live-restore",
            "--host",
            self.url,
            "--bridge=none",
            "--iptables=false",
        ]
        words += [f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/pid"]
        with (self.folder / "log").open("ab") as log:
            self.processes.append(subprocess.Popen(words, stdout=log, stderr=log))  # noqa: S603 - ours
        return wait_until(self._answer, what=f"dockerd, whose log is {self.folder}/log")  # type: ignore[no-any-return]

    def stop(self) -> None:
        """Stop it; its containers keep running."""
        self.processes[-1].terminate()
        self.processes[-1].wait()

    def _answer(self) -> docker.DockerClient | None:
        assert self.processes[-1].poll() is None, (self.folder / "log").read_text(encoding="utf-8")
        try:
            return docker.DockerClient(base_url=self.url)
        except docker.errors.DockerException:
            return None


@pytest.fixture
def own_engine() -> Iterator[OwnEngine]:
    # A socket's path is limited to 107 characters, which pytest's folders exceed.
    with tempfile.TemporaryDirectory(prefix="dockerd-", ignore_cleanup_errors=True) as folder:
        engine = OwnEngine(Path(folder))
        client = engine.start()
        try:
            machine = docker.from_env()
            client.images.load(machine.images.get(SHELL_IMAGE).save(named=True))
            machine.close()
            yield engine
            client = docker.DockerClient(base_url=engine.url)
            for container in client.containers.list(all=True):
                container.remove(force=True)
        finally:
            engine.stop()


def test_an_engine_that_restarts_does_not_disturb_a_step(
    own_engine: OwnEngine, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container keeps running, its lines and messages arrive once, and its end is noticed."""
    monkeypatch.setenv("DOCKER_HOST", own_engine.url)
    exchange = tmp_path / "exchange"
    client = DrayageClient(exchange_root=exchange, deployment="restarted", network="none")
    script = f"echo started; while [ ! -e /go ]; do sleep 0.1; done; echo ended; {GREEN}"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(materialize, instance, client, step(shell(script), timeout_s=240))
        (directory,) = wait_until(lambda: list(exchange.glob("*/report/*")), what="the step's directory")
        log = directory / "stdout.log"
        wait_until(lambda: log.exists() and "started" in log.read_text(encoding="utf-8"), what="the step's first line")
        own_engine.stop()
        own_engine.start()
        with contextlib.closing(docker.DockerClient(own_engine.url)) as engine:
            engine.containers.list()[0].exec_run(["touch", "/go"])
        outcome = running.result()
    assert outcome.success, outcome.failure
    assert outcome.materializations[0]["rows"] == 3
    assert log.read_text(encoding="utf-8") == "started\nended\n", "every line once, including those after the restart"
