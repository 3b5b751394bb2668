"""Runs Dagster's daemons with a queue that reacts at once, and keeps run workers ready beside them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread

import dagster as dg

from drayage.dagster_internals import daemons
from drayage.dagster_internals.launching import Workspace
from drayage.launcher.current import CurrentBlueprints
from drayage.launcher.keeper import Keeper
from drayage.launcher.launcher import StandbyRunLauncher

_END_S = 30.0


def run(workspace_files: Sequence[Path]) -> None:
    """Run the daemons of the instance of ``DAGSTER_HOME`` until the process is told to end.

    Args:
        workspace_files: The files that name the code locations.
    """
    with daemons.open_instance() as instance, contextlib.suppress(KeyboardInterrupt):
        daemons.run_daemons(instance, workspace_files, lambda workspace: _keeping(instance, workspace))


@contextlib.contextmanager
def _keeping(instance: dg.DagsterInstance, workspace: Callable[[], Workspace]) -> Iterator[None]:
    """Keep run workers ready within the block, where the instance's launcher uses them."""
    launcher = instance.run_launcher
    if not isinstance(launcher, StandbyRunLauncher):
        yield
        return
    ended = Event()
    blueprints = CurrentBlueprints(launcher, workspace)
    keeper = Keeper(launcher.pool, blueprints, instance, standby=launcher.standby)
    thread = Thread(target=keeper.run, args=(ended,), name="drayage-keeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_END_S)
