"""Bad input and missing services: one clear sentence, a red step, and a right run after the repair."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stack import REPOSITORY, Stack

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("topic")]

JANUARY = REPOSITORY / "tests" / "data" / "yellow_tripdata_2019-01.parquet"


@pytest.fixture(scope="module")
def topic(stack: Stack) -> None:
    """Make the topic, which a month's events need."""
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


BAD_FILES = [
    ("2015-01", _missing_column, "fare_amount"),
    ("2015-02", _wrong_type, "trip_distance"),
    ("2015-03", _no_rows, "without any row"),
    ("2015-04", _no_bytes, "0 bytes"),
    ("2015-05", _cut_off, "cut off"),
]


@pytest.mark.parametrize(("month", "spoil", "word"), BAD_FILES)
def test_bad_file_is_named_with_its_fault(stack: Stack, month: str, spoil: object, word: str) -> None:
    """The step is red before its first event, says file and fault, and goes green once the file is right."""
    path = stack.data_folder / f"yellow_tripdata_{month}.parquet"
    assert callable(spoil)
    spoil(path)
    try:
        red = stack.launch(month, "--select", "generate_events")
        assert red.exit_code != 0
        assert path.name in red.output
        assert word in red.output.lower()
        assert stack.committed_events(month) == 0
        _repaired(path)
        green = stack.launch(month, "--select", "generate_events")
        assert green.exit_code == 0, green.output
        assert stack.committed_events(month) == 50
    finally:
        path.unlink()


STOPPED_SERVICES = [
    ("kafka", "generate_events", "kafka:9092"),
    ("schema-registry", "generate_events", "schema-registry:8085"),
    ("flink-sql-gateway", "bronze/raw_trips", "flink-sql-gateway:8083"),
    ("iceberg-rest", "bronze/raw_trips", "iceberg-rest:8181"),
    ("minio", "silver/cleaned_trips", "minio:9000"),
]


@pytest.mark.parametrize(("service", "asset", "address"), STOPPED_SERVICES)
def test_stopped_service_is_named_and_the_next_run_is_right(
    stack: Stack, service: str, asset: str, address: str
) -> None:
    """A step that misses a service says which one, and works as soon as it is back."""
    month = "2019-02"
    with stack.stopped(service):
        red = stack.launch(month, "--select", asset)
    assert red.exit_code != 0
    assert address in red.output
    green = stack.launch(month, "--select", asset)
    assert green.exit_code == 0, green.output
    stack.assert_nothing_is_left()


@pytest.mark.parametrize("month", ["2019-13", "1999-01", "January"])
def test_month_that_does_not_exist_is_refused(stack: Stack, month: str) -> None:
    """Nothing is launched for a month outside the calendar or the partitions."""
    refused = stack.launch(month)
    assert refused.exit_code != 0
    assert month in refused.output
    assert "Traceback" not in refused.output


def test_missing_data_folder_is_refused_before_anything_starts() -> None:
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
