"""Makes a Python workload wait for a debugger without a change to its image or command.

Python imports ``sitecustomize`` when it starts. A hook of that name is in a directory that is mounted and put on
``PYTHONPATH``, together with a copy of this process's debugpy. It is a copy because the host may itself be a
container, whose files the engine cannot mount.

Source:
    debugpy 1.8, https://github.com/microsoft/debugpy/wiki/API-Reference.
"""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib import util
from pathlib import Path

from drayage.debugger import Debugger
from drayage.engine import Engine, Mount
from drayage.errors import SettingsError
from drayage.replay.prepare import PreparedReplay

_DIRECTORY = "/drayage/debugpy"
DEBUGPY_PORT = 5678
_WAITING = "drayage: this Python is waiting for a debugger"
_PYTHONS = ("python3", "python")

# The variable is removed first, so that child processes, such as debugpy's own adapter, do not wait as well.
_HOOK = f'''"""Waits for a debugger before the program starts."""
import os
if os.environ.pop("DRAYAGE_DEBUGPY", None):
    import sys
    os.environ.setdefault("DEBUGPY_PROCESS_SPAWN_TIMEOUT", "60")
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    try:
        import debugpy
    except ImportError:
        raise SystemExit(
            "debugpy is installed neither in this image nor where drayage runs: install it in one of them, for "
            "example as drayage[debug]."
        )
    debugpy.listen(("0.0.0.0", {DEBUGPY_PORT}))
    print("{_WAITING}.", file=sys.stderr, flush=True)
    debugpy.wait_for_client()
'''


@contextlib.contextmanager
def debugged(prepared: PreparedReplay, *, port: int, engine: Engine, debugger: Debugger) -> Iterator[PreparedReplay]:
    """Yield the same replay, changed so that its first Python process waits for a debugger.

    The directory that is mounted for this is removed at the end.

    Args:
        prepared: The replay.
        port: The port on the engine's 127.0.0.1 that the debugger connects to.
        engine: The engine that will run the container.
        debugger: Inspects the container's image.

    Yields:
        The changed replay.

    Raises:
        SettingsError: The image has no Python, or the container has no network.
    """
    request = prepared.request
    if not debugger.has_program(request.image, _PYTHONS):
        raise SettingsError(
            f"Image {request.image} has no {' or '.join(_PYTHONS)} on its PATH, and --debugpy works only with Python. "
            "For another language, mount its debugger with --mount, or inspect the step with `drayage shell`."
        )
    if "none" in {*request.settings.networks[:1], *engine.explain(request.container_kwargs).networks}:
        raise SettingsError("The step has no network, so no debugger can reach it: use --network, such as bridge.")
    directory = prepared.attempt.path / "debugpy"
    directory.mkdir()
    try:
        (directory / "sitecustomize.py").write_text(_HOOK, encoding="utf-8")
        _place_debugpy(directory)
        yield replace(
            prepared,
            request=replace(
                request,
                settings=request.settings.overridden(
                    {
                        "mounts": (*request.settings.mounts, Mount(str(directory), _DIRECTORY, kind="local")),
                        # Time spent waiting for people does not count as the step's.
                        "timeout_s": None,
                        "start_timeout_s": None,
                        "idle_timeout_s": None,
                    },
                    source="--debugpy",
                ),
                environment={
                    **request.environment,
                    "PYTHONPATH": _python_path(prepared, debugger),
                    "DRAYAGE_DEBUGPY": "1",
                },
                published_ports={DEBUGPY_PORT: port},
            ),
        )
    finally:
        shutil.rmtree(directory)


def has_waited(prepared: PreparedReplay) -> bool:
    """Return whether a Python process in the replay's container has waited for a debugger."""
    return _WAITING in prepared.attempt.stderr.read_text(encoding="utf-8", errors="replace")


def _place_debugpy(directory: Path) -> None:
    spec = util.find_spec("debugpy")
    if spec is not None and spec.origin is not None:
        installed = Path(spec.origin).parent
        shutil.copytree(installed, directory / "debugpy", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (directory, *directory.rglob("*")):
        # Readable by every user, because the workload may run as any.
        path.chmod(0o755 if path.is_dir() else 0o644)


def _python_path(prepared: PreparedReplay, debugger: Debugger) -> str:
    inherited = {**debugger.environment(prepared.request.image), **prepared.request.environment}.get("PYTHONPATH")
    return f"{_DIRECTORY}:{inherited}" if inherited else _DIRECTORY
