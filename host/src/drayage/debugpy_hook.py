"""Lets a Python workload wait for a debugger without a change to its image or its command."""

from dataclasses import replace
from importlib import util
from pathlib import Path

from drayage.docker_debug import DockerDebugger
from drayage.engine import Engine, Mount
from drayage.rerun import Rerun

HOOK_DIRECTORY = "/drayage/debugpy"

# Python imports a module of this name at its start. The variable goes, so that child processes do not wait too.
_HOOK = '''"""Waits for a debugger before the program begins."""
import os
if os.environ.pop("DRAYAGE_DEBUGPY", None):
    try:
        from debugpy import listen, wait_for_client
    except ImportError:
        raise SystemExit(
            "debugpy is neither in this image nor where drayage runs: install it in one of them, or give "
            "--mount DIRECTORY:/drayage/debugpy/debugpy with a copy of it."
        )
    listen(("0.0.0.0", 5678))
    wait_for_client()
'''


def with_debugpy(rerun: Rerun, *, port: int, engine: Engine) -> Rerun:
    """The same container, whose first Python waits for a debugger.

    Args:
        rerun: What it is made of.
        port: On 127.0.0.1.
        engine: Where it will run.
    """
    directory = rerun.attempt.path / "debugpy"
    # The place for a copy: the engine cannot make it inside a read-only mount.
    (directory / "debugpy").mkdir(parents=True)
    (directory / "sitecustomize.py").write_text(_HOOK, encoding="utf-8")
    mounts = [Mount(engine.host_path(directory), HOOK_DIRECTORY)]
    spec = util.find_spec("debugpy")
    if spec is not None and spec.origin is not None:
        mounts.append(Mount(engine.host_path(Path(spec.origin).parent), f"{HOOK_DIRECTORY}/debugpy"))
    request = rerun.request
    inherited = {**DockerDebugger().environment(request.image), **request.environment}.get("PYTHONPATH")
    environment = {
        **request.environment,
        "PYTHONPATH": f"{HOOK_DIRECTORY}:{inherited}" if inherited else HOOK_DIRECTORY,
        "DRAYAGE_DEBUGPY": "1",
    }
    settings = request.settings.overridden(
        # The wait for people is none of the step's time.
        {
            "mounts": (*mounts, *request.settings.mounts),
            "timeout_s": None,
            "start_timeout_s": None,
            "idle_timeout_s": None,
        },
        source="--debugpy",
    )
    passthrough = {**request.passthrough, "ports": {"5678/tcp": ("127.0.0.1", port)}}
    changed = replace(request, settings=settings, environment=environment, passthrough=passthrough)
    return replace(rerun, request=changed)
