"""`make test` builds only what changed."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine

REPOSITORY = Path(__file__).parents[2]


def images(folder: Path) -> list[str]:
    """Return what a second build of all images prints, the tests' own included."""
    done = subprocess.run(  # noqa: S603 - our own script
        [str(folder / "bootstrap" / "images.sh"), "--check"],
        cwd=folder,
        env={**os.environ, "DEVELOPMENT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if line.strip()]


def test_what_has_not_changed_is_not_rebuilt() -> None:
    assert images(REPOSITORY) == []
