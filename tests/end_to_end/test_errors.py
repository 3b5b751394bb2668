"""Bad input and missing services: one clear sentence, a red step, and a correct run after the repair."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stack import REPOSITORY, Launch, Stack

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("topic")]

JANUARY = REPOSITORY / "tests" / "data" / "yellow_tripdata_2019-01.parquet"


@pytest.fixture(scope="module")
def topic(stack: Stack) -> None:
    """Create the topic, which a month's events need."""
    made = stack.launch("2019-01", "--select", "kafka_topics")
    assert made.exit_code == 0, made.output


def _missing_column(path: Path) -> None:
    pq.write_table(pq.read_table(JANUARY).drop_columns(["fare_amount"]).slice(0, 50), path)


def _wrong_type(path: Path) -> None:
    table = pq.read_table(JANUARY).slice(0, 50)
    position = table.schema.get_field_index("trip_distance")
    words = pa.array(["far"] * table.num_rows)
    pq.write_table(table.set_column(position, "trip_distance", words), path)


def _no_rows(path: Path) -> None:
    pq.write_table(pq.read_table(JANUARY).slice(0, 0), path)


def _no_bytes(path: Path) -> None:
    path.write_bytes(b"")


def _cut_off(path: Path) -> None:
    whole = JANUARY.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _repaired(path: Path) -> None:
    pq.write_table(pq.read_table(JANUARY).slice(0, 50), path)


BAD_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "2015-01": (_missing_column, "fare_amount"),
    "2015-02": (_wrong_type, "trip_distance"),
    "2015-03": (_no_rows, "without any row"),
    "2015-04": (_no_bytes, "0 bytes"),
    "2015-05": (_cut_off, "cut off"),
}


@dataclass(frozen=True)
class Repair:
    """A month whose file was bad and then repaired: each run, and the month's events in the topic after it."""

    red: Launch
    events_then: int
    green: Launch
    events_now: int


@pytest.fixture(scope="module")
def repairs(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Repair]:
    """Run all bad files at the same time, then the repaired ones."""
    folder = tmp_path_factory.mktemp("trips")
    files = {month: folder / f"yellow_tripdata_{month}.parquet" for month in BAD_FILES}

    def run() -> list[tuple[Launch, int]]:
        with ThreadPoolExecutor() as pool:
            launched = list(pool.map(lambda month: stack.launch(month, "--select", "generate_events"), BAD_FILES))
        return [(launch, stack.committed_events(month)) for month, launch in zip(BAD_FILES, launched, strict=True)]

    for month, (spoil, _word) in BAD_FILES.items():
        spoil(files[month])
    with stack.landed(*files.values()):
        red = run()
    for file in files.values():
        _repaired(file)
    with stack.landed(*files.values()):
        green = run()
    return {month: Repair(*before, *after) for month, before, after in zip(BAD_FILES, red, green, strict=True)}


@pytest.mark.parametrize("month", BAD_FILES)
def test_a_bad_file_is_named_with_its_fault(repairs: dict[str, Repair], month: str) -> None:
    """The step is red before its first event, names file and fault, and is green once the file is repaired."""
    repair, word = repairs[month], BAD_FILES[month][1]
    assert repair.red.exit_code != 0
    assert f"yellow_tripdata_{month}.parquet" in repair.red.output
    assert word in repair.red.output.lower()
    assert repair.events_then == 0
    assert repair.green.exit_code == 0, repair.green.output
    assert repair.events_now == 50


STOPPED_SERVICES = [
    ("kafka", "generate_events", "kafka:9092"),
    ("schema-registry", "generate_events", "schema-registry:8085"),
    ("flink-sql-gateway", "bronze/raw_trips", "flink-sql-gateway:8083"),
    ("iceberg-rest", "bronze/raw_trips", "iceberg-rest:8181"),
    ("minio", "silver/cleaned_trips", "minio:9000"),
]


@pytest.mark.parametrize(("service", "asset", "address"), STOPPED_SERVICES)
def test_a_stopped_service_is_named_and_the_next_run_is_correct(
    stack: Stack, service: str, asset: str, address: str
) -> None:
    """A step that cannot reach a service names it, and works as soon as it is back."""
    month = "2019-02"
    with stack.stopped(service):
        red = stack.launch(month, "--select", asset)
    assert red.exit_code != 0
    assert address in red.output
    green = stack.launch(month, "--select", asset)
    assert green.exit_code == 0, green.output
    stack.assert_nothing_is_left()


@pytest.mark.parametrize("month", ["2019-13", "1999-01", "January"])
def test_a_month_that_does_not_exist_is_refused(stack: Stack, month: str) -> None:
    """Nothing is launched for a month outside the calendar or the partitions."""
    refused = stack.launch(month)
    assert refused.exit_code != 0
    assert month in refused.output
    assert "Traceback" not in refused.output


def test_a_missing_data_folder_is_refused_before_anything_starts() -> None:
    """A mistyped folder must not become a synthesised month."""
    folder = f"/nowhere/{uuid.uuid4()}"
    refused = subprocess.run(  # noqa: S603 - our own Makefile
        ["make", "run", f"DATA={folder}"],  # noqa: S607
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode != 0
    assert folder in refused.stdout + refused.stderr
