"""What people do in the UI: materialize a month from the graph, look at its numbers, read why a step is red.

With SCREENSHOTS=folder in the environment, each test writes its picture there; the README's are made this way.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from event_log import logged_numbers
from flink_jobs import EVENTS, cancel_in_flink, running_bronze_job, slow_flink, state_of
from playwright.sync_api import Page, expect
from plots import WIDE, find_plot, read_plot
from stack import Stack, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.browser]

MONTH = "2019-01"
FAILING_MONTH = "2014-07"
# The numbers of every step, and the rate of those that move events or rows.
STEP_NUMBERS = {"duration_s", "cpu_s", "peak_memory_mib"}
RATES = {"events_per_second", "rows_per_second"}
PLOTTED = {
    "kafka_topics": STEP_NUMBERS,
    "generate_events": {"events_per_second", *STEP_NUMBERS},
    "bronze/raw_trips": {"rows_per_second", *STEP_NUMBERS},
    "silver/cleaned_trips": {"rows_per_second", *STEP_NUMBERS},
    "core/fct_trips": {"rows_per_second", *STEP_NUMBERS},
    "marts/fct_trips": {"rows_per_second", *STEP_NUMBERS},
    "audit": {"rows_per_second", *STEP_NUMBERS},
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


def test_a_month_launched_from_the_graph_is_green(page: Page, stack: Stack) -> None:
    """The main use: one click, and a green run that shows what it was made from."""
    run = launch_from_the_graph(page, stack, MONTH)
    assert run["status"] == "SUCCESS"
    page.goto(f"/runs/{run['id']}")
    expect(page.get_by_text("RUN_SUCCESS").first).to_be_visible()
    take_picture(page, "run")
    assert {"month", "git_revision", "image/flink-submit"} <= set(tags_of(stack, run["id"]))


def test_plots_show_every_number_of_the_event_log(page: Page, stack: Stack) -> None:
    """Rate, seconds and memory of each step in every month, and nothing else, since people trust a plot.

    One dbt asset and one published asset stand for the others, whose numbers come from the same code.
    """
    if newest_run(stack, MONTH) is None:
        launch_from_the_graph(page, stack, MONTH)
    open_plots(page, "generate_events")
    find_plot(page, "events_per_second")
    take_picture(page, "plots")
    page.set_viewport_size(WIDE)
    numbers = logged_numbers(stack, STEP_NUMBERS | RATES, *PLOTTED)
    missing = {asset: labels - numbers.get(asset, {}).keys() for asset, labels in PLOTTED.items()}
    assert not any(missing.values()), missing
    for asset, labels in numbers.items():
        open_plots(page, asset)
        for label in labels:
            assert_plotted(page, stack, asset, label)


def open_plots(page: Page, asset: str) -> None:
    page.goto(f"/assets/{asset}?view=overview")
    page.get_by_role("button", name="Plots").first.click()


def assert_plotted(page: Page, stack: Stack, asset: str, label: str) -> None:
    """Compare a plot with the log until they agree: a plot is drawn over many frames, and the log grows."""
    said: dict[str, Any] = {}

    def is_whole() -> bool:
        if said:
            open_plots(page, asset)
        plotted, logged = read_plot(page, label), logged_numbers(stack, [label], asset)[asset][label]
        said.update(plotted=sorted(plotted), logged=dict(logged.values))
        if logged.partitioned:
            return plotted == {(str(place), value) for place, value in logged.values.items()}
        # Two runs within seconds share a pixel, and their titles show only minutes.
        values = {value for _, value in plotted}
        return logged.values[0] in values and values <= set(logged.values.values())

    try:
        wait_until(is_whole, what="the whole plot", timeout_s=120)
    except TimeoutError:
        pytest.fail(f"{label} of {asset}: the plot shows {said['plotted']}, and the log holds {said['logged']}")


def tags_of(stack: Stack, run_id: str) -> dict[str, str]:
    query = "query Tags($id: ID!) { runOrError(runId: $id) { ... on Run { tags { key value } } } }"
    return {tag["key"]: tag["value"] for tag in stack.query(query, id=run_id)["runOrError"]["tags"]}


def test_the_stages_stand_side_by_side_in_one_picture(page: Page, stack: Stack) -> None:
    """Dagster cannot combine two plots; this picture shows the slowest stage."""
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
    for group in ("kafka", "lake", "staging", "intermediate", "marts", "published", "reports", "maintenance"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    take_picture(page, "graph")


def test_a_red_steps_page_says_the_reason_and_the_command(page: Page, stack: Stack, tmp_path: Path) -> None:
    """This is read first when debugging: what is wrong with which file, and how to look into the container."""
    file = tmp_path / f"yellow_tripdata_{FAILING_MONTH}.csv"
    file.write_text("VendorID,fare\n1,2\n")
    with stack.landed(file):
        run = launch_from_the_graph(page, stack, FAILING_MONTH)
    assert run["status"] == "FAILURE"
    said = read_full_message(page, run["id"], "generate_events")
    take_picture(page, "failure")
    assert_in_order(said, file.name, *commands(stack, run["id"], "generate_events"))


FLINK_MONTH = "2013-06"


def test_a_red_flink_steps_page_links_its_job_below_the_commands(page: Page, stack: Stack) -> None:
    """A failure in Flink is explained in Flink, and the link saves a search for a 32-digit id."""
    made = stack.launch(FLINK_MONTH, "--select", "kafka_topics,generate_events", "--events", str(EVENTS))
    assert made.exit_code == 0, made.output
    with slow_flink(stack):
        run_id = stack.start_job("process", {}, month=FLINK_MONTH)
        job = running_bronze_job(stack)
        cancel_in_flink(stack, job)
    assert stack.wait_for_end(run_id) == "FAILURE"
    said = read_full_message(page, run_id, "bronze__raw_trips")
    steps = commands(stack, run_id, "bronze__raw_trips")
    assert_in_order(said, f"Flink job {job}", "was cancelled by someone else", *steps, "Its flink job: http")
    link = page.get_by_role("dialog").get_by_role("link", name=job)
    expect(link).to_have_attribute("href", re.compile(rf"^{re.escape(stack.url('FLINK_PORT'))}/#/job/.*{job}"))
    again = stack.launch(FLINK_MONTH, "--select", "bronze/raw_trips")
    assert again.exit_code == 0, again.output


def commands(stack: Stack, run_id: str, step: str) -> list[str]:
    """Return the commands on a red step's page, in order."""
    prefix = f"docker exec -it {stack.project}-dagster-webserver drayage"
    return [f"{prefix} {verb} {run_id[:8]} {step}" for verb in ("replay", "shell")]


def read_full_message(page: Page, run_id: str, step: str) -> str:
    """Open a red step's page; return its whole message."""
    page.goto(f"/runs/{run_id}?logs=step%3A{step}")
    expect(page.get_by_text("STEP_FAILURE").first).to_be_visible()
    page.get_by_role("button", name=re.compile("View full message", re.IGNORECASE)).last.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    return dialog.inner_text()


def assert_in_order(said: str, *parts: str) -> None:
    """Assert that the parts appear in this order, the first of them in the line of the failure."""
    missing = [part for part in parts if part not in said]
    assert not missing, said
    assert sorted(parts, key=said.index) == list(parts), said
    assert parts[0] in said[said.index("Failure: ") :].splitlines()[0], said


CANCELLED_MONTH = "2013-05"
# The README promises this limit; it takes one to two seconds.
GONE_WITHIN_S = 5.0


def test_a_cancelled_step_leaves_neither_container_nor_flink_job(page: Page, stack: Stack) -> None:
    """Terminate must end all work: a job that went on unseen would write to a table later."""
    made = stack.launch(CANCELLED_MONTH, "--select", "kafka_topics,generate_events", "--events", str(EVENTS))
    assert made.exit_code == 0, made.output
    with slow_flink(stack) as let_go:
        run_id = stack.start_job("process", {}, month=CANCELLED_MONTH)
        page.goto(f"/runs/{run_id}")
        job = running_bronze_job(stack)
        page.get_by_role("button", name="Terminate").first.click()
        expect(page.get_by_text("1 run will be terminated")).to_be_visible()
        confirm = page.get_by_role("button", name=re.compile("terminate", re.IGNORECASE)).last
        assert state_of(stack, job) == "RUNNING", "the job must not have ended by itself meanwhile"
        confirm.click()

        def is_gone() -> bool:
            state = state_of(stack, job)
            if state != "RUNNING":
                let_go()
            return state in {"FINISHED", "FAILED", "CANCELED"} and not step_containers(stack, run_id)

        try:
            wait_until(is_gone, what="neither Flink job nor container", timeout_s=GONE_WITHIN_S)
        except TimeoutError:
            pytest.fail(
                f"{GONE_WITHIN_S} s after Terminate Flink job {job} is {state_of(stack, job)}, run {run_id} is "
                f"{stack.run_status(run_id)}, and of its steps are there: {step_containers(stack, run_id)}"
            )
    assert state_of(stack, job) == "CANCELED", "the cancel must have ended it"
    assert stack.wait_for_end(run_id, timeout_s=60) == "CANCELED"
    again = stack.launch(CANCELLED_MONTH, "--select", "bronze/raw_trips")
    assert again.exit_code == 0, again.output
    assert stack.materialization("bronze/raw_trips", CANCELLED_MONTH)["dagster/row_count"] == EVENTS


def step_containers(stack: Stack, run_id: str) -> list[str]:
    """Return the containers of a run's steps, including ended ones, without its worker."""
    labels = [f"drayage/run_id={run_id}", "drayage/step"]
    return [
        container.name
        for container in stack.engine.containers.list(all=True, ignore_removed=True, filters={"label": labels})
    ]
