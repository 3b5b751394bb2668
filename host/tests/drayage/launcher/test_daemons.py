"""Dagster's daemons as ``drayage daemon`` runs them."""

import contextlib
import logging
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.daemon import IntervalDaemon

from drayage.dagster_internals import daemons

INTERVAL_S = 600.0


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    overrides = {
        "run_queue": {"dequeue_interval_seconds": 600, "max_concurrent_runs": 0},
        "telemetry": {"enabled": False},
    }
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        yield instance


def _enqueue(instance: dg.DagsterInstance) -> None:
    server = GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="l")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(server, "r"), "queued")
    job = dg.job(name="queued")(lambda: None)
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=origin)


def _looks(daemon: daemons.PromptQueueDaemon, instance: Any, most: int) -> int:
    """Return how often the daemon looks before it launches what may be launched, at most so often."""
    iteration = daemon.run_iteration(SimpleNamespace(instance=instance))
    for number in range(most):
        try:
            next(iteration)
        except StopIteration:
            return number
    return most


def test_a_run_that_comes_is_looked_after_at_once(instance: dg.DagsterInstance) -> None:
    daemon = daemons.PromptQueueDaemon(INTERVAL_S)
    assert _looks(daemon, instance, 3) == 3
    Timer(0.05, _enqueue, [instance]).start()
    assert _looks(daemon, instance, 50) < 50


def test_a_run_that_waits_for_a_limit_is_looked_after_at_the_interval(instance: dg.DagsterInstance) -> None:
    """Examining the limits takes many queries, and writes a line to the log."""
    daemon = daemons.PromptQueueDaemon(INTERVAL_S)
    _enqueue(instance)
    assert _looks(daemon, instance, 3) < 3
    assert _looks(daemon, instance, 3) == 3
    assert _looks(daemons.PromptQueueDaemon(0.0), instance, 3) < 3


def test_while_nothing_is_queued_nothing_more_is_asked(instance: dg.DagsterInstance) -> None:
    assert _looks(daemons.PromptQueueDaemon(0.0), instance, 3) == 3


def test_two_runs_one_after_the_other_are_both_seen(instance: dg.DagsterInstance) -> None:
    daemon = daemons.PromptQueueDaemon(INTERVAL_S)
    for _ in range(2):
        _enqueue(instance)
        assert _looks(daemon, instance, 3) < 3


def test_a_storage_that_fails_is_not_asked_without_a_pause() -> None:
    """Dagster's loop reports the error of an iteration, and begins the next one."""

    def fails(*_: Any, **__: Any) -> None:
        raise ConnectionError("no storage")

    daemon = daemons.PromptQueueDaemon(0.0)
    began_s = time.monotonic()
    iteration = daemon.run_iteration(SimpleNamespace(instance=SimpleNamespace(get_run_ids=fails)))
    with pytest.raises(AttributeError, match="run_coordinator"):
        list(iteration)
    assert time.monotonic() - began_s >= daemons.LOOK_S


def test_dagsters_loop_still_leaves_the_waiting_to_the_iteration() -> None:
    assert issubclass(daemons.QueuedRunCoordinatorDaemon, IntervalDaemon), "the queue's daemon has another loop"
    assert daemons.PromptQueueDaemon(5.0).interval_seconds == 0, "IntervalDaemon.interval_seconds has changed"


def test_the_other_daemons_are_dagsters_own(instance: dg.DagsterInstance) -> None:
    made = list(daemons._daemons(instance))  # noqa: SLF001 - what Dagster's controller is given
    assert {it.daemon_type() for it in made} == set(instance.get_required_daemon_types())
    (queue,) = (it for it in made if it.daemon_type() == "QUEUED_RUN_COORDINATOR")
    assert isinstance(queue, daemons.PromptQueueDaemon)
    assert queue._interval_s == 600  # noqa: SLF001 - that of the settings


def test_the_daemons_run_and_end(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """As `dagster-daemon run` does: an interrupt ends the controller's loop, and whatever is entered beside it."""
    (tmp_path / "workspace.yaml").write_text("load_from: []\n")
    seen: list[Any] = []

    @contextlib.contextmanager
    def beside(workspace: Any) -> Iterator[None]:
        seen.append(workspace().code_location_names)
        Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
        try:
            yield
        finally:
            seen.append("left")

    before, logger = signal.getsignal(signal.SIGTERM), logging.getLogger("dagster")
    level, handlers = logger.level, logger.handlers[:]
    try:
        with contextlib.suppress(KeyboardInterrupt):
            daemons.run_daemons(instance, [tmp_path / "workspace.yaml"], beside)
    finally:
        signal.signal(signal.SIGTERM, before)
        logger.setLevel(level)
        logger.handlers[:] = handlers
    assert seen == [[], "left"]
