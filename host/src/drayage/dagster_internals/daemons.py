"""Holds what ``drayage daemon`` needs of Dagster's daemons.

- Dagster's daemon of the run queue waits in steps of half a second, at an interval that is a whole number of seconds,
  and with an interval of 0 it does not wait at all. Here the same daemon has that interval, and waits before each of
  its iterations until a run has come. It is given to Dagster's own controller, which takes its daemons from a function.
- The controller itself, with its threads, heartbeats and workspace, is that of ``dagster-daemon run``.

``tests/drayage/launcher/test_daemons.py`` fails by name if Dagster moves one of them.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._cli.utils import get_instance_for_cli
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.cli import _get_heartbeat_tolerance
from dagster._daemon.controller import create_daemon_of_type, daemon_controller_from_instance
from dagster._daemon.daemon import DaemonIterator
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers

from drayage.dagster_internals.launching import Workspace

LOOK_S = 0.2
_QUEUED = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])


class PromptQueueDaemon(QueuedRunCoordinatorDaemon):
    """Launches queued runs as Dagster's own daemon does, and looks five times a second whether one has come.

    Looking is one query, for the newest queued run. Runs that wait for a limit are examined at the interval that is
    set, as ever; while none is queued, nothing more is asked.

    Args:
        interval_s: That interval, in seconds (``dequeue_interval_seconds``).
    """

    def __init__(self, interval_s: float) -> None:
        super().__init__(interval_seconds=0)
        self._interval_s = interval_s
        self._newest: str | None = None

    def run_iteration(
        self, workspace_process_context: Any, fixed_iteration_time: float | None = None
    ) -> DaemonIterator:
        """Wait until a run has come, or the interval is over; then launch what may be launched.

        Args:
            workspace_process_context: The instance, and the code locations.
            fixed_iteration_time: For tests of Dagster's.

        Yields:
            What Dagster's own iteration yields.
        """
        end_s = time.monotonic() + self._interval_s
        # The pause comes first: nothing else keeps an iteration that fails from being the next one at once.
        while not self._is_due(workspace_process_context.instance, end_s):
            yield None
        yield from super().run_iteration(workspace_process_context, fixed_iteration_time)

    def _is_due(self, instance: dg.DagsterInstance, end_s: float) -> bool:
        """Pause, and return whether a run has come since, or runs are queued at the end of the interval."""
        time.sleep(LOOK_S)
        try:
            newest = next(iter(instance.get_run_ids(_QUEUED, limit=1)), None)
        except Exception:  # noqa: BLE001 - a storage that does not answer is the iteration's to complain of
            return time.monotonic() >= end_s
        has_come = newest != self._newest
        self._newest = newest
        return newest is not None and (has_come or time.monotonic() >= end_s)


def open_instance() -> AbstractContextManager[dg.DagsterInstance]:
    """Open the instance of ``DAGSTER_HOME`` as Dagster's commands do."""
    return get_instance_for_cli()


def run_daemons(
    instance: dg.DagsterInstance,
    workspace_files: Sequence[Path],
    beside: Callable[[Callable[[], Workspace]], AbstractContextManager[None]],
) -> None:
    """Run Dagster's daemons until the process is told to end.

    Args:
        instance: The instance.
        workspace_files: The files that name the code locations.
        beside: Called with a function that returns the code locations as they are now; what it returns is entered for
            as long as the daemons run.
    """
    setup_interrupt_handlers()
    with capture_interrupts(), ExitStack() as stack:
        controller = stack.enter_context(
            daemon_controller_from_instance(
                instance,
                workspace_load_target=WorkspaceFileTarget([str(path) for path in workspace_files]),
                gen_daemons=_daemons,
                heartbeat_tolerance_seconds=_get_heartbeat_tolerance(),  # type: ignore[no-untyped-call]  # Dagster's
                log_level=os.environ.get("DAGSTER_DAEMON_LOG_LEVEL", "info"),
                code_server_log_level="warning",
            )
        )
        workspace = controller._workspace_process_context  # noqa: SLF001 - it has no public name
        stack.enter_context(beside(workspace.create_request_context))
        controller.check_daemon_loop()


def _daemons(instance: dg.DagsterInstance) -> Iterator[Any]:
    for kind in instance.get_required_daemon_types():
        if kind == QueuedRunCoordinatorDaemon.daemon_type():
            queue = instance.run_coordinator
            assert isinstance(queue, QueuedRunCoordinator)  # noqa: S101 - no other one requires this daemon
            yield PromptQueueDaemon(queue.dequeue_interval_seconds)
        else:
            yield create_daemon_of_type(kind, instance)
