"""A copy of this repository for commands that write into it; it uses the original's Python environments."""

import shutil
import subprocess
from pathlib import Path

from stack import REPOSITORY


def copy_repository(target: Path) -> Path:
    """Copy what git would commit.

    Args:
        target: A folder that does not exist yet.

    Returns:
        The copy, as a repository without uncommitted changes.
    """
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout  # noqa: S603
    for name in filter(None, names.split("\0")):
        source = REPOSITORY / name
        # A file whose deletion is not committed is still listed.
        if source.is_symlink() or source.exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)
    for environment in (".venv", ".drayage/uv", *_of_workloads()):
        if (REPOSITORY / environment).exists():
            (target / environment).parent.mkdir(parents=True, exist_ok=True)
            (target / environment).symlink_to(REPOSITORY / environment)
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=target, check=True)  # noqa: S603, S607
    return target


def _of_workloads() -> list[str]:
    return [str(found.relative_to(REPOSITORY)) for found in (REPOSITORY / "workloads").glob("*/.venv")]
