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
    """Build an image; where nothing changed, the cache makes it a matter of a second.

    The Dockerfile may mount this machine's CA certificates as the secret ``ca``, for networks whose TLS is signed anew.

    Args:
        folder: Holds the Dockerfile and all that it copies.
        image: Name that the image gets.
        show: Takes a line that says what is built.
        target: The stage to build; None is the last one.

    Raises:
        BuildError: There is no ``docker`` command here, or the build failed.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise BuildError(
            f"{image} cannot be built from {folder}: there is no `docker` command on this host. Install Docker's "
            "command line, or build the image elsewhere and leave `build` out."
        )
    command = [docker, "build", "--progress", "plain", "--tag", image]
    bundle = Path(os.environ.get("SSL_CERT_FILE") or _CA_BUNDLE)
    if bundle.is_file():
        command += ["--secret", f"id=ca,src={bundle}"]
    if target is not None:
        command += ["--target", target]
    last: deque[str] = deque(maxlen=_LAST_LINES)
    show(f"building {image} from {folder}")
    with subprocess.Popen(  # noqa: S603 - docker's own command, the folder of a declaration
        [*command, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        # Else an old engine falls back to its first builder, which knows no secrets.
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
    ) as build:
        try:
            for line in build.stdout or ():
                last.append(line.rstrip())
        except BaseException:
            # A cancelled step must not wait for its image.
            build.kill()
            raise
    if build.returncode != 0:
        raise BuildError(
            f"{image} could not be built from {folder} (docker build exited with code {build.returncode}). The end of "
            f"what it said:\n" + "\n".join(last) + f"\nTo see it all: docker build --tag {image} {folder}"
        )
