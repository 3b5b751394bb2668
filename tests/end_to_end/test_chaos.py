"""Anything is killed at a random moment of a month's run; after another run each record is where it belongs, once.

``CHAOS_ROUNDS`` sets the number of rounds (``make soak``: twenty), ``CHAOS_SEED`` the victims and moments. Each round
is recorded in a line of ``.drayage/chaos.jsonl``.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from typing import Any

import docker.errors
import httpx
import pytest
from stack import REPOSITORY, Launch, Stack, wait_until

pytestmark = pytest.mark.stack

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "3"))
SEED = int(os.environ.get("CHAOS_SEED", "20260101"))
JOURNAL = REPOSITORY / ".drayage" / "chaos.jsonl"

MONTH = "2016-06"
EVENTS = 300
STEPS = "kafka_topics,generate_events,bronze/raw_trips,silver/cleaned_trips"
# A step's container is killed within this many seconds of its start; with so few events, it hardly runs longer.
STEP_LIFE_S = 2.5
# If the step or the run is over before that moment, the round is tried again at half the time.
MOST_ATTEMPTS = 4
# A disturbed run may leave something that still disturbs the next one, such as a transaction to be fenced.
MOST_RUNS = 2

RUN_WORKER = "run-worker"
RUN_WORKER_LABEL = "drayage/role=run-worker"
STEP_VICTIMS = {"generator": "data-generator", "flink_submit": "flink-submit"}
SERVICE_VICTIMS = (
    "flink-taskmanager",
    "flink-jobmanager",
    "flink-sql-gateway",
    "kafka",
    "iceberg-rest",
    "minio",
    "postgres",
    "dagster-code",
)
VICTIMS = (*STEP_VICTIMS, *SERVICE_VICTIMS, RUN_WORKER)


@dataclass(frozen=True)
class Plan:
    """One round: the victim, and the moment as a share of its life or of an undisturbed run's time."""

    number: int
    victim: str
    share: float


def _plans() -> Iterator[Plan]:
    """Draw the rounds: each victim once, in random order, before any is killed again."""
    draw = random.Random(SEED)  # noqa: S311 - moments, no secrets
    order: list[str] = []
    for number in range(ROUNDS):
        order = order or draw.sample(VICTIMS, len(VICTIMS))
        yield Plan(number, order.pop(), draw.random())


@dataclass(frozen=True)
class Undisturbed:
    """The month as an undisturbed run leaves it."""

    seconds: float
    silver: list[dict[str, Any]]
    rejected: list[dict[str, Any]]


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> Undisturbed:
    """Run the month once to see what it holds, and again to see how long it takes when everything is warm."""
    for _ in range(2):
        started = time.monotonic()
        launch = _run(stack)
        assert launch.exit_code == 0, launch.output
        seconds = time.monotonic() - started
    silver, rejected = (stack.table_rows(f"silver.{name}", MONTH) for name in ("cleaned_trips", "rejected_trips"))
    assert silver
    assert rejected
    return Undisturbed(seconds, silver, rejected)


@pytest.mark.parametrize("plan", _plans(), ids=lambda plan: f"{plan.number}-{plan.victim}-{plan.share:.2f}")
def test_nothing_is_lost_or_doubled_whatever_is_killed(stack: Stack, undisturbed: Undisturbed, plan: Plan) -> None:
    """A separate reader checks topic and tables after the disturbed run and one more run."""
    started = time.monotonic()
    for attempt in range(MOST_ATTEMPTS):
        with ThreadPoolExecutor(1) as threads:
            run = threads.submit(_run, stack)
            earlier = replace(plan, share=plan.share / 2**attempt)
            killed_after_s = _kill(stack, earlier, undisturbed.seconds, run)
            _start_what_is_down(stack)
            disturbed = run.result()
        if killed_after_s is not None:
            break
    assert killed_after_s is not None, f"{plan.victim} was never there to be killed: {disturbed.output}"
    _settle(stack)
    stumbles = []
    for _ in range(MOST_RUNS):
        launch = _run(stack)
        if launch.exit_code == 0:
            break
        stumbles.append(launch.output)
        _settle(stack)
    story = {
        "seed": SEED,
        **asdict(plan),
        "killed_after_s": killed_after_s,
        "disturbed_run": "green" if disturbed.exit_code == 0 else "red",
        "seconds": round(time.monotonic() - started, 1),
        "later_red_runs": stumbles,
    }
    JOURNAL.parent.mkdir(exist_ok=True)
    with JOURNAL.open("a") as journal:
        journal.write(json.dumps(story) + "\n")
    assert launch.exit_code == 0, f"{story}\n{disturbed.output}\n{launch.output}"
    _judge(stack, undisturbed)


def _run(stack: Stack) -> Launch:
    return stack.launch(MONTH, "--events", str(EVENTS), "--select", STEPS)


def _kill(stack: Stack, plan: Plan, run_s: float, run: Future[Launch]) -> float | None:
    """Kill the victim at its moment; return the seconds since the round began, or None if it or the run was over."""
    started = time.monotonic()
    if plan.victim in SERVICE_VICTIMS:
        wait([run], timeout=plan.share * run_s)
        if run.done():
            return None
        stack.container(plan.victim).kill()
        return round(time.monotonic() - started, 1)
    life_s = run_s if plan.victim == RUN_WORKER else min(run_s, STEP_LIFE_S)
    while not run.done():
        victims = _find(stack, plan.victim)
        wait([run], timeout=plan.share * life_s if victims else 0.1)
        if victims and _is_killed(victims[0]):
            return round(time.monotonic() - started, 1)
    return None


def _find(stack: Stack, victim: str) -> list[Any]:
    filters: dict[str, Any] = {"network": stack.project}
    if victim == RUN_WORKER:
        return list(stack.engine.containers.list(ignore_removed=True, filters={**filters, "label": RUN_WORKER_LABEL}))
    running = stack.engine.containers.list(ignore_removed=True, filters=filters)
    return [one for one in running if STEP_VICTIMS[victim] in one.name and _has_begun(stack, one)]


def _has_begun(stack: Stack, container: Any) -> bool:
    """Return whether it has its step's context; a container that stands by does no work yet."""
    context = f"/var/lib/drayage/exchange/{container.labels['drayage/exchange']}/io/context.json"
    return bool(stack.container("dagster-webserver").exec_run(["test", "-f", context]).exit_code == 0)


def _is_killed(container: Any) -> bool:
    try:
        container.kill()
    except (docker.errors.NotFound, docker.errors.APIError):
        return False  # it ended by itself a moment ago
    return True


def _start_what_is_down(stack: Stack) -> None:
    """Start what was killed, and wait for all services: some restart themselves after another was away."""
    for service in SERVICE_VICTIMS:
        stack.container(service).start()
    of_stack = {"label": f"com.docker.compose.project={stack.project}"}

    def ill() -> list[str]:
        services = stack.engine.containers.list(all=True, ignore_removed=True, filters=of_stack)
        # One service does its work once and exits with success.
        return [one.name for one in services if one.health != "healthy" and not _is_done(one)]

    wait_until(lambda: not ill(), what="all services healthy", timeout_s=120)


def _is_done(container: Any) -> bool:
    return container.status == "exited" and container.attrs["State"]["ExitCode"] == 0


def _settle(stack: Stack) -> None:
    """Wait until no run is in progress and Dagster will retry none."""
    query = "query Runs { runsOrError(limit: 20) { ... on Runs { results { status tags { key value } } } } }"
    over = {"SUCCESS", "FAILURE", "CANCELED"}

    def is_quiet() -> bool:
        try:
            runs = stack.query(query)["runsOrError"]["results"]
        except httpx.HTTPError:
            return False  # the webserver itself is restarting
        for run in runs:
            tags = {tag["key"]: tag["value"] for tag in run["tags"]}
            is_retried_later = tags.get("dagster/will_retry") == "true" and "dagster/auto_retry_run_id" not in tags
            if run["status"] not in over or is_retried_later:
                return False
        return True

    wait_until(is_quiet, what="no run under way", timeout_s=180)


def _judge(stack: Stack, undisturbed: Undisturbed) -> None:
    topic = Counter(stack.committed_offsets())
    bronze = Counter(stack.ingested_offsets())
    assert set(bronze.values()) == {1}, "a record is in bronze twice"
    assert bronze == topic
    assert stack.committed_events(MONTH) % EVENTS == 0, "half a month is visible"
    assert stack.table_rows("silver.cleaned_trips", MONTH) == undisturbed.silver
    assert stack.table_rows("silver.rejected_trips", MONTH) == undisturbed.rejected
    silver = stack.materialization("silver/cleaned_trips", MONTH)
    arrivals = len(stack.table_rows("bronze.raw_trips", MONTH))
    fates = ("rows_written", "rows_rejected", "duplicates", "rows_superseded")
    assert arrivals == silver["rows_read"] == sum(silver[fate] for fate in fates)
    stack.assert_nothing_is_left()
