"""A workload that `drayage new` adds to this repository: what `make up` then builds is complete, and runs.

On the stack, `make up` would rebuild the host's image and restart three services under the other tests, twice. This
module takes the same steps under names of its own: what is to be built, both images, and the step on that host.
"""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker.errors
import pytest
from contract_steps import Deployment
from repository_copy import copy_repository

from drayage.docker.build import build_image

pytestmark = pytest.mark.engine

DRAYAGE = Path(sys.executable).with_name("drayage")
SOCKET = "/var/run/docker.sock"
EXCHANGE = "/var/lib/drayage/exchange"
# Runs in the host's image, with the definitions of the copied checkout.
MATERIALIZE = """
import json, sys
import dagster as dg
from nyc_taxi.definitions import defs
name = sys.argv[1]
with dg.DagsterInstance.ephemeral() as instance:
    result = dg.materialize([defs().get_assets_def(name)], instance=instance, raise_on_error=False)
    metadata = {}
    for event in result.get_asset_materialization_events():
        metadata = event.materialization.metadata
    print(json.dumps({"green": result.success, **{name: value.value for name, value in metadata.items()}}, default=str))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of this checkout, including uncommitted changes."""
    return copy_repository(tmp_path / "checkout")


@pytest.fixture
def images(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Return names for the host's image and the workload's, both removed at the end."""
    name = deployment.name.replace("-", "_")
    both = f"drayage/{name}-host", f"drayage/{name}"
    yield both
    for image in both:
        with contextlib.suppress(docker.errors.ImageNotFound):
            deployment.engine.images.remove(image, force=True)


def to_be_built(checkout: Path) -> set[str]:
    """Return the images that `make up` would build."""
    done = subprocess.run(
        ["bash", "bootstrap/images.sh", "--check"],  # noqa: S607
        cwd=checkout,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return set(re.findall(r"^ +(\S+) needs to be built$", done.stdout, re.MULTILINE))


def test_its_image_and_the_hosts_are_built_and_its_asset_runs(
    checkout: Path, deployment: Deployment, images: tuple[str, str]
) -> None:
    host, image = images
    name = image.rpartition("/")[2]
    before = to_be_built(checkout)
    typed = subprocess.run(  # noqa: S603 - ours
        [DRAYAGE, "new", name, "--language", "shell"], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert typed.returncode == 0, typed.stderr
    assert to_be_built(checkout) == before | {"drayage/host", image}

    build_image(checkout / "workloads" / name, image, show=print)
    build_image(checkout / "host", host, show=print)
    volume = deployment.engine.volumes.create(
        f"{deployment.name}-exchange", labels={"drayage/deployment": deployment.name}
    )
    said = deployment.engine.containers.run(
        host,
        ["python3", "-c", MATERIALIZE, name],
        environment={
            "DAGSTER_HOME": "",
            "DRAYAGE_DEPLOYMENT": deployment.name,
            "DRAYAGE_NETWORK": "none",
        },
        group_add=[Path(SOCKET).stat().st_gid],
        volumes={SOCKET: {"bind": SOCKET}, volume.name: {"bind": EXCHANGE}},
        labels={"drayage/deployment": deployment.name},
        network_mode="none",
        remove=True,
    )
    outcome = json.loads(said.decode().splitlines()[-1])
    assert outcome["green"], said.decode()
    assert outcome["rows"] == 3
