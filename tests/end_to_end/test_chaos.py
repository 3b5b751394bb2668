"""Anything is killed at a random moment of a month's run; after another run the month is what was sent last, exactly.

Each round sends another version of the same month: a file, its correction, or synthetic trips of two sizes.
``CHAOS_ROUNDS`` sets the number of rounds (``make soak``: twenty), ``CHAOS_SEED`` the victims and moments. Each round
is recorded in a line of ``.drayage/chaos.jsonl``.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import docker.errors
import httpx
import pytest
from month_judge import Row, contents_of, judge, look
from month_versions import LARGE, SMALL, Contents, Version, all_versions, file_contents, versions_in_turn
from stack import REPOSITORY, Launch, Stack, wait_until

pytestmark = pytest.mark.stack

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "3"))
SEED = int(os.environ.get("CHAOS_SEED", "20260101"))
JOURNAL = REPOSITORY / ".drayage" / "chaos.jsonl"

MONTH = "2016-06"
STEPS = "kafka_topics,generate_events,bronze/raw_trips,silver/cleaned_trips,dbt_build,publish_marts"
# A step's container is killed within this many seconds of its start; with so few events, it hardly runs longer.
STEP_LIFE_S = 2.5
# If the step or the run is over before that moment, the round is tried again at half the time.
MOST_ATTEMPTS = 4
# A disturbed run may leave something that still disturbs the next one, such as a transaction to be fenced.
MOST_RUNS = 2

RUN_WORKER = "run-worker"
RUN_WORKER_LABEL = "drayage/role=run-worker"
STEP_VICTIMS = {"generator": "-data-generator-", "flink_submit": "-flink-submit-", "dbt_runner": "-dbt-"}
"""Part of the names of the steps' containers."""
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
    """One round: the version, the one before it, the victim, and its moment.

    Args:
        number: From 0 on.
        version: The version that is sent.
        before: The version that it replaces.
        victim: What is killed.
        share: The moment as a share of the victim's life or of an undisturbed run's time.
    """

    number: int
    version: str
    before: str
    victim: str
    share: float

    def __str__(self) -> str:
        """Return what identifies the round's test."""
        return f"{self.number}-{self.version}-after-{self.before}-{self.victim}-{self.share:.2f}"


def _plans() -> Iterator[Plan]:
    """Draw the rounds: each victim once, in random order, before any is killed again."""
    draw = random.Random(SEED)  # noqa: S311 - moments, no secrets
    order: list[str] = []
    for number, (version, before) in enumerate(versions_in_turn(ROUNDS)):
        order = order or draw.sample(VICTIMS, len(VICTIMS))
        yield Plan(number, version, before, order.pop(), draw.random())


@dataclass
class Month:
    """What is known of the month before anything is killed.

    Args:
        versions: Its versions by name.
        contents: What each of them holds.
        seconds: The time of an undisturbed run.
        rows: Silver and the rejected rows of each version as they were found first.
    """

    versions: dict[str, Version]
    contents: dict[str, Contents]
    seconds: float = 0.0
    rows: dict[str, tuple[list[Row], list[Row]]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def month(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Month:
    """Run the synthetic versions undisturbed to see what they hold; the second run is the one that is timed."""
    versions = all_versions(MONTH, tmp_path_factory.mktemp("versions"))
    files = {name: version.file for name, version in versions.items() if version.file is not None}
    month = Month(versions, {name: file_contents(MONTH, file) for name, file in files.items()})
    for name in (LARGE, SMALL):
        started = time.monotonic()
        launch = _run(stack, versions[name])
        assert launch.exit_code == 0, launch.output
        month.seconds = time.monotonic() - started
        month.contents[name] = contents_of(look(stack, MONTH), MONTH)
        _judge(stack, month, versions[name])
    return month


@pytest.mark.parametrize("plan", _plans(), ids=str)
def test_a_month_is_what_was_sent_last_whatever_is_killed(stack: Stack, month: Month, plan: Plan) -> None:
    """A separate reader checks topics, tables and receipts after the disturbed run and one more run."""
    started = time.monotonic()
    version = month.versions[plan.version]
    with _landed(stack, version):
        killed_after_s, disturbed = _disturb(stack, month, plan)
        assert killed_after_s is not None, f"{plan.victim} was never there to be killed: {disturbed.output}"
        _settle(stack)
        stumbles = []
        for _ in range(MOST_RUNS):
            launch = _run(stack, version)
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
    _judge(stack, month, version)


def _landed(stack: Stack, version: Version) -> AbstractContextManager[None]:
    return nullcontext() if version.file is None else stack.landed(version.file)


def _run(stack: Stack, version: Version) -> Launch:
    return stack.launch(MONTH, *version.arguments, "--select", STEPS)


def _disturb(stack: Stack, month: Month, plan: Plan) -> tuple[float | None, Launch]:
    """Run the version and kill the victim; return when it was killed, None if it never was, and how the run ended."""
    for attempt in range(MOST_ATTEMPTS):
        with ThreadPoolExecutor(1) as threads:
            run = threads.submit(_run, stack, month.versions[plan.version])
            earlier = replace(plan, share=plan.share / 2**attempt)
            killed_after_s = _kill(stack, earlier, month.seconds, run)
            _start_what_is_down(stack)
            disturbed = run.result()
        if killed_after_s is not None:
            break
    return killed_after_s, disturbed


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
        filters["label"] = RUN_WORKER_LABEL
        workers = stack.engine.containers.list(ignore_removed=True, filters=filters)
        return [one for one in workers if not one.name.startswith(f"{stack.project}-standby-")]
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


def _judge(stack: Stack, month: Month, version: Version) -> None:
    found = look(stack, MONTH)
    judge(found, MONTH, version, month.contents[version.name], known=month.versions.values())
    # Sent again, a version has the very rows that it had at first.
    assert month.rows.setdefault(version.name, (found.silver, found.rejected)) == (found.silver, found.rejected)
    stack.assert_nothing_is_left()
