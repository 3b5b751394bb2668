"""Builds a workload's image from its folder, with the engine's own build cache."""

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable
from pathlib import Path

from drayage.errors import BuildError

_LAST_LINES = 20
_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def build_image(folder: Path, image: str, *, show: Callable[[str], None], target: str | None = None) -> None:
    """Build an image; if nothing has changed, the build cache makes this a matter of about a second.

    The Dockerfile may mount this machine's CA certificates as the secret ``ca``, for networks where a proxy re-signs
    TLS traffic.

    Args:
        folder: Folder with the Dockerfile and everything that it copies.
        image: Name to tag the image with.
        show: Called with one line that says what is being built.
        target: The stage to build; None builds the last one.

    Raises:
        BuildError: The ``docker`` command is not installed, or the build failed.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise BuildError(
            f"{image} cannot be built from {folder}: there is no `docker` command on this host. Install the Docker "
            "CLI, or build the image elsewhere and remove `build`."
        )
    command = [docker, "build", "--progress", "plain", "--tag", image]
    bundle = Path(os.environ.get("SSL_CERT_FILE") or _CA_BUNDLE)
    if bundle.is_file():
        command += ["--secret", f"id=ca,src={bundle}"]
    if target is not None:
        command += ["--target", target]
    last: deque[str] = deque(maxlen=_LAST_LINES)
    show(f"building {image} from {folder}")
    with subprocess.Popen(  # noqa: S603 - Docker's own command, on a folder that a workload declares
        [*command, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        # Without this, an old engine falls back to the legacy builder, which does not support secrets.
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
    ) as build:
        try:
            for line in build.stdout or ():
                last.append(line.rstrip())
        except BaseException:
            # A cancelled step must not wait for the build.
            build.kill()
            raise
    if build.returncode != 0:
        raise BuildError(
            f"{image} could not be built from {folder} (docker build exited with code {build.returncode}). Its last "
            f"lines:\n" + "\n".join(last) + f"\nFor the full output, run: docker build --tag {image} {folder}"
        )
