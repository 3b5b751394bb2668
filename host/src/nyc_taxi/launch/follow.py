"""Follows a run, and its automatic retries, until it is over."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from nyc_taxi.launch.errors import RunStuckError, WebserverUnreachableError
from nyc_taxi.launch.progress import RunProgress, Step
from nyc_taxi.launch.webserver import Job, Webserver

OVER = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
_WAITING = frozenset({"NOT_STARTED", "QUEUED", "STARTING"})
_WILL_RETRY = "dagster/will_retry"

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Patience:
    """How often to poll, and how long to wait.

    Args:
        poll_s: Seconds between two polls.
        start_s: Seconds that a run may take to start.
        load_s: Seconds that Dagster may take to load the code location.
        retry_s: Seconds within which an announced retry must exist.
        silence_s: Seconds that the webserver may fail to answer while a run is followed; the run does not need it.
    """

    # Each poll costs the webserver some 25 ms of processor time, which the steps need too.
    poll_s: float = 0.5
    start_s: float = 300.0
    load_s: float = 120.0
    retry_s: float = 60.0
    silence_s: float = 60.0


@dataclass(frozen=True)
class FollowedRun:
    """A run that is over.

    Args:
        run_id: The run's id; if the run was retried, the id of the last retry.
        status: ``SUCCESS``, ``FAILURE`` or ``CANCELED``.
        progress: The run's steps.
    """

    run_id: str
    status: str
    progress: RunProgress


def wait_for_job(webserver: Webserver, name: str, patience: Patience) -> Job:
    """Wait until the code location with a job is loaded.

    Args:
        webserver: The Dagster webserver.
        name: The job's name.
        patience: The waiting times.

    Returns:
        The job.

    Raises:
        RunStuckError: The code location was still loading at the deadline.
    """
    deadline = time.monotonic() + patience.load_s
    while (job := webserver.find_job(name)) is None:
        if time.monotonic() > deadline:
            raise RunStuckError(
                f"Dagster has been loading the pipeline for {patience.load_s:.0f} s and is not ready. The log of its "
                "code server says why ('make logs SERVICE=dagster-code')."
            )
        time.sleep(patience.poll_s)
    return job


def follow(
    webserver: Webserver,
    run_id: str,
    *,
    patience: Patience,
    on_change: Callable[[RunProgress, Step | None], None],
    on_retry: Callable[[str], None],
) -> FollowedRun:
    """Follow a run, and the runs that Dagster starts to retry it.

    Args:
        webserver: The Dagster webserver.
        run_id: The run's id.
        patience: The waiting times.
        on_change: Called with the steps and the step that began or ended; after each poll, with the steps and None.
        on_retry: Called with the id of each retry.

    Returns:
        The last retry, with the steps of all attempts.

    Raises:
        RunStuckError: The run does not start, or an announced retry does not come.
        WebserverUnreachableError: The webserver no longer answers.
    """
    progress = RunProgress()
    while True:
        run = _follow_one(webserver, run_id, progress, patience, on_change)
        if run["status"] != "FAILURE" or _tag(run, _WILL_RETRY) != "true":
            progress.end()
            return FollowedRun(run_id, run["status"], progress)
        run_id = _wait_for_retry(webserver, run_id, patience)
        progress.begin_again()
        on_retry(run_id)


def _follow_one(
    webserver: Webserver,
    run_id: str,
    progress: RunProgress,
    patience: Patience,
    on_change: Callable[[RunProgress, Step | None], None],
) -> dict[str, Any]:
    """Follow one run to its end, and return it as GraphQL does."""
    start_deadline = time.monotonic() + patience.start_s
    cursor: str | None = None
    run_url = webserver.run_url(run_id)
    progress.plan(_patiently(patience, run_url, partial(webserver.read_plan, run_id)))
    while True:
        # The status is read before the events: after a run is over, it has no more events.
        run = _patiently(patience, run_url, partial(webserver.read_run, run_id))
        while True:
            page = _patiently(patience, run_url, partial(webserver.read_events, run_id, cursor))
            cursor = page["cursor"]
            for event in page["events"]:
                if step := progress.apply(event):
                    on_change(progress, step)
            if not page["hasMore"]:
                break
        on_change(progress, None)
        if run["status"] in OVER:
            return run
        if run["status"] in _WAITING and time.monotonic() > start_deadline:
            raise RunStuckError(
                f"The run has not started within {patience.start_s:.0f} s and is {run['status'].lower()}: either "
                "other runs come first, or Dagster's daemon does not work ('make logs SERVICE=dagster-daemon'). "
                f"The run is still waiting: {webserver.run_url(run_id)}"
            )
        time.sleep(patience.poll_s)


def _wait_for_retry(webserver: Webserver, run_id: str, patience: Patience) -> str:
    deadline: float | None = None
    while (retry := _patiently(patience, webserver.run_url(run_id), partial(webserver.find_retry, run_id))) is None:
        # Counted from the first answer: the daemon may have been restarted together with the webserver.
        deadline = deadline or time.monotonic() + patience.retry_s
        if time.monotonic() > deadline:
            raise RunStuckError(
                f"Dagster said that it would retry the run, and has not within {patience.retry_s:.0f} s: its daemon "
                f"does not work ('make logs SERVICE=dagster-daemon'). {webserver.run_url(run_id)}"
            )
        time.sleep(patience.poll_s)
    return retry


def _patiently(patience: Patience, run_url: str, ask: Callable[[], _Answer]) -> _Answer:
    """Ask until there is an answer: a busy machine may lose a request, and the webserver may be restarted."""
    deadline = time.monotonic() + patience.silence_s
    while True:
        try:
            return ask()
        except WebserverUnreachableError as error:
            if time.monotonic() > deadline:
                raise WebserverUnreachableError(
                    f"{error} It has not answered for {patience.silence_s:.0f} s; the run goes on without it: {run_url}"
                ) from error
        time.sleep(patience.poll_s)


def _tag(run: dict[str, Any], key: str) -> str | None:
    return next((tag["value"] for tag in run["tags"] if tag["key"] == key), None)
