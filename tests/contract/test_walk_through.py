"""From nothing to a green asset in the UI: the page's commands as written, in an empty folder."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.errors
import httpx
import pytest
from contract_steps import Deployment, wait_until

pytestmark = pytest.mark.engine

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "adding-a-workload.md"
IMAGE = "drayage/count_trips"
# What the page's title promises, installation included; the machine may be building images meanwhile.
PROMISED_S = 300
LATEST = """
{ assetOrError(assetKey: {path: ["count_trips"]}) { ... on Asset { assetMaterializations(limit: 1) {
    runOrError { ... on Run { status } }
    metadataEntries { label ... on IntMetadataEntry { intValue } }
} } } }
"""


def commands() -> str:
    """Return everything that the page tells people to type."""
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def typed(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Type the page's commands, and end what they leave running."""
    with (folder / "typed.log").open("w+", encoding="utf-8") as log:
        shell = subprocess.Popen(  # noqa: S603 - the page is ours
            ["bash", "-euo", "pipefail", "-c", commands()],  # noqa: S607
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield shell
        finally:
            # A shell's background jobs ignore SIGINT, and Dagster's child processes outlive it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()


def ask(port: int) -> list[dict[str, Any]]:
    """Return the asset's latest materialization in the UI; nothing while the UI starts."""
    try:
        answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": LATEST}, timeout=30)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["data"]["assetOrError"].get("assetMaterializations", [])
    except httpx.HTTPError:
        return []
    return found


def test_the_asset_is_green_in_the_ui(tmp_path: Path, deployment: Deployment) -> None:
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}},
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "DRAYAGE": str(REPOSITORY),
        "DRAYAGE_DEPLOYMENT": deployment.name,
        "PATH": f"{REPOSITORY / '.drayage' / 'uv' / 'bin'}:{os.environ['PATH']}",
        "PORT": str(port),
    }
    folder = tmp_path / "nothing"
    folder.mkdir()
    try:
        deadline = time.monotonic() + PROMISED_S
        with typed(folder, environment) as shell:
            code = shell.wait(timeout=PROMISED_S)
            said = (folder / "typed.log").read_text(encoding="utf-8")
            assert code == 0, said
            (latest,) = wait_until(
                lambda: ask(port), what="the UI with the asset", deadline_s=deadline - time.monotonic()
            )
        assert latest["runOrError"]["status"] == "SUCCESS"
        values = {entry["label"]: entry.get("intValue") for entry in latest["metadataEntries"]}
        assert values["rows"] == 3
        assert deployment.starts() == 1
    finally:
        # By name: someone's own untouched workload would be the same image.
        with contextlib.suppress(docker.errors.ImageNotFound):
            deployment.engine.images.remove(IMAGE, force=True)
