"""What people do in the UI: materialize a month from the graph, look at its numbers, read why a step is red.

With SCREENSHOTS=folder in the environment each test leaves its picture there: the README's are made so.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect
from plots import find_plot, plotted_values
from stack import Stack, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.browser]

MONTH = "2019-01"
FAILING_MONTH = "2014-07"
# Each stage's rate, and what every step carries.
STEP_NUMBERS = ("duration_s", "cpu_s", "peak_memory_mib")
PLOTTED = {
    "generate_events": ("events_per_second", *STEP_NUMBERS),
    "bronze/raw_trips": ("rows_per_second", *STEP_NUMBERS),
    "silver/cleaned_trips": ("rows_per_second", *STEP_NUMBERS),
    "core/fct_trips": ("rows_per_second", *STEP_NUMBERS),
    "marts/fct_trips": ("rows_per_second", *STEP_NUMBERS),
    "audit": ("rows_per_second", *STEP_NUMBERS),
}
RUNS = """
query Runs($month: String!) {
  runsOrError(filter: {tags: [{key: "dagster/partition", value: $month}]}, limit: 1) {
    ... on Runs { results { id status } }
  }
}
"""


def launch_from_the_graph(page: Page, stack: Stack, month: str) -> dict[str, Any]:
    """Click 'Materialize all' for a month, and wait until the run is over."""
    before = newest_run(stack, month)
    page.goto("/locations/nyc_taxi/jobs/taxi_pipeline")
    page.get_by_role("button", name="Materialize all").click()
    partitions = page.get_by_placeholder(re.compile(r"^ex: "))
    partitions.fill(month)
    partitions.press("Enter")
    page.get_by_role("button", name="Launch 1 run").click()
    ended = {"SUCCESS", "FAILURE", "CANCELED"}

    def is_over() -> bool:
        run = newest_run(stack, month)
        return run is not None and run != before and run["status"] in ended

    wait_until(is_over, what=f"the end of the run of {month}", timeout_s=300)
    run = newest_run(stack, month)
    assert run is not None
    return run


def newest_run(stack: Stack, month: str) -> dict[str, Any] | None:
    runs: list[dict[str, Any]] = stack.query(RUNS, month=month)["runsOrError"]["results"]
    return runs[0] if runs else None


def take_picture(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")


def test_a_month_launched_from_the_graph_is_green_and_its_numbers_are_plotted(page: Page, stack: Stack) -> None:
    """The main use: one click, a green run, and the rates of every run so far as plots."""
    run = launch_from_the_graph(page, stack, MONTH)
    assert run["status"] == "SUCCESS"
    page.goto(f"/runs/{run['id']}")
    expect(page.get_by_text("RUN_SUCCESS").first).to_be_visible()
    take_picture(page, "run")
    assert {"month", "git_revision", "image/flink-submit"} <= set(tags_of(stack, run["id"]))
    for asset, names in PLOTTED.items():
        page.goto(f"/assets/{asset}?view=overview")
        page.get_by_role("button", name="Plots").first.click()
        logged = stack.materialization(asset, MONTH)
        for name in names:
            assert written(logged[name]) in plotted_values(page, name), f"{name} of {asset}"
        if asset == "generate_events":
            find_plot(page, "events_per_second")
            take_picture(page, "plots")


def written(number: float) -> str:
    """A number as the UI's tooltips write it: with commas, and three decimals at most."""
    return f"{number:,.3f}".rstrip("0").rstrip(".")


def tags_of(stack: Stack, run_id: str) -> dict[str, str]:
    query = "query Tags($id: ID!) { runOrError(runId: $id) { ... on Run { tags { key value } } } }"
    return {tag["key"]: tag["value"] for tag in stack.query(query, id=run_id)["runOrError"]["tags"]}


def test_the_stages_stand_side_by_side_in_one_picture(page: Page, stack: Stack) -> None:
    """Dagster cannot lay two plots over each other; whoever looks for the slowest stage looks here."""
    if newest_run(stack, MONTH) is None:
        launch_from_the_graph(page, stack, MONTH)
    page.goto("/assets/throughput?view=overview")
    page.get_by_text("[Show Markdown]").first.click()
    pictures = page.locator("img[src^='data:image/svg']")
    expect(pictures).to_have_count(2)
    for picture in pictures.all():
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    take_picture(page, "throughput")


def test_every_group_of_the_graph_is_there_with_its_assets(page: Page) -> None:
    page.goto("/asset-groups")
    for group in ("kafka", "lake", "staging", "intermediate", "marts", "published", "reports", "care"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    take_picture(page, "graph")


def test_a_red_steps_page_says_the_reason_and_the_command(page: Page, stack: Stack) -> None:
    """Whoever debugs reads this first: what is wrong with which file, and how to look into the container."""
    file = stack.data_folder / f"yellow_tripdata_{FAILING_MONTH}.csv"
    file.write_text("VendorID,fare\n1,2\n")
    try:
        run = launch_from_the_graph(page, stack, FAILING_MONTH)
    finally:
        file.unlink()
    assert run["status"] == "FAILURE"
    page.goto(f"/runs/{run['id']}?logs=step%3Agenerate_events")
    expect(page.get_by_text("STEP_FAILURE").first).to_be_visible()
    expect(page.get_by_text(re.compile(rf"{file.name}")).first).to_be_visible()
    page.get_by_role("button", name=re.compile("View full message", re.IGNORECASE)).last.click()
    prefix = f"docker exec -it {stack.project}-dagster-webserver drayage"
    for verb in ("replay", "shell"):
        expect(page.get_by_text(f"{prefix} {verb} {run['id'][:8]} generate_events").first).to_be_visible()
    take_picture(page, "failure")


CANCELLED_MONTH = "2013-05"
EVENTS = 1_000
# Five seconds on a machine that does nothing else.
GONE_WITHIN_S = 30.0


def test_a_cancelled_step_leaves_neither_container_nor_flink_job(page: Page, stack: Stack) -> None:
    """Who presses Terminate means it: what goes on unseen would write to a table later."""
    made = stack.launch(CANCELLED_MONTH, "--select", "kafka_topics,generate_events", "--events", str(EVENTS))
    assert made.exit_code == 0, made.output
    with slow_flink(stack) as let_go:
        run_id = stack.start_job("process", {}, month=CANCELLED_MONTH)
        page.goto(f"/runs/{run_id}")
        wait_until(lambda: running_flink_jobs(stack) != [], what="a running Flink job", timeout_s=120)
        page.get_by_role("button", name="Terminate").first.click()
        expect(page.get_by_text("1 run will be terminated")).to_be_visible()
        confirm = page.get_by_role("button", name=re.compile("terminate", re.IGNORECASE)).last
        assert running_flink_jobs(stack), "the job must not have ended by itself meanwhile"
        confirm.click()
        let_go()
        wait_until(
            lambda: not running_flink_jobs(stack) and not step_containers(stack),
            what="neither Flink job nor container",
            timeout_s=GONE_WITHIN_S,
        )
    wait_until(lambda: stack.run_status(run_id) == "CANCELED", what="the run shown as cancelled", timeout_s=60)
    again = stack.launch(CANCELLED_MONTH, "--select", "bronze/raw_trips")
    assert again.exit_code == 0, again.output
    assert stack.materialization("bronze/raw_trips", CANCELLED_MONTH)["dagster/row_count"] == EVENTS


@contextmanager
def slow_flink(stack: Stack) -> Iterator[Callable[[], None]]:
    """Leave the TaskManager so little of a processor that a small job lasts until somebody finds the button."""
    taskmanager = stack.container("flink-taskmanager")

    def let_go() -> None:
        taskmanager.update(cpu_period=100_000, cpu_quota=-1)

    taskmanager.update(cpu_period=100_000, cpu_quota=10_000)
    try:
        yield let_go
    finally:
        let_go()


def running_flink_jobs(stack: Stack) -> list[str]:
    jobs = httpx.get(f"{stack.url('FLINK_PORT')}/jobs", timeout=30).json()["jobs"]
    return [job["id"] for job in jobs if job["status"] not in {"FINISHED", "FAILED", "CANCELED"}]


def step_containers(stack: Stack) -> list[str]:
    """Containers of steps that run; a run's worker is none of them."""
    labels = [f"drayage/deployment={stack.project}", "drayage/step"]
    return [
        container.name for container in stack.engine.containers.list(ignore_removed=True, filters={"label": labels})
    ]
