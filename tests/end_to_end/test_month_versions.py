"""Silver and the marts hold the current version of a month and nothing else, whatever was sent before."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from stack import Launch, Stack
from trip_cases import dearer, money, replaced, trips_of_2009, valid_trips

pytestmark = pytest.mark.stack

TO_SILVER = ("--select", "kafka,lake")


def _write(table: pa.Table, folder: Path, name: str) -> Path:
    path = folder / name
    pq.write_table(table, path)
    return path


def _run(stack: Stack, month: str, file: Path, *arguments: str) -> Launch:
    with stack.landed(file):
        return stack.launch(month, "--source", "file", *arguments)


def _silver(stack: Stack, month: str) -> tuple[int, Decimal]:
    """Return the number of trips and the sum of their totals."""
    rows = stack.table_rows("silver.cleaned_trips", month)
    return len(rows), sum((row["total_amount_usd"] for row in rows), Decimal(0))


def _marts(stack: Stack, month: str) -> tuple[int, Decimal]:
    rows = stack.table_rows("marts.fct_trips", month)
    return len(rows), sum((row["total_amount_usd"] for row in rows), Decimal(0))


def test_a_corrected_file_replaces_the_month_and_the_first_one_may_come_back(stack: Stack, tmp_path: Path) -> None:
    month, name = "2018-03", "yellow_tripdata_2018-03.parquet"
    first = valid_trips(month, 950)
    second = dearer(first, 100).slice(0, 900)
    versions = []
    for table, superseded, duplicates in ((first, 0, 0), (second, 950, 0), (first, 900, 950)):
        launch = _run(stack, month, _write(table, tmp_path, name))
        assert launch.exit_code == 0, launch.output
        expected = (table.num_rows, money(table))
        assert _silver(stack, month) == _marts(stack, month) == expected
        reported = stack.materialization("silver/cleaned_trips", month)
        assert (reported["rows_superseded"], reported["duplicates"]) == (superseded, duplicates)
        assert (reported["source"], reported["source_name"]) == ("tlc_file", name)
        assert name in launch.output
        audited = stack.materialization("audit", month)
        assert audited["checks_failed"] == 0
        assert audited["rows_superseded"] == superseded
        assert Decimal(audited["total_amount_usd"]) == expected[1]
        versions.append(reported["source_version"])
    assert versions[0] == versions[2] != versions[1]


def test_synthetic_and_real_trips_are_never_mixed(stack: Stack, tmp_path: Path) -> None:
    month = "2021-02"
    larger = stack.launch(month, "--source", "synthetic", "--events", "400", *TO_SILVER)
    assert larger.exit_code == 0, larger.output
    assert "SYNTHETIC" in larger.output
    smaller = stack.launch(month, "--source", "file_or_synthetic", "--events", "300", *TO_SILVER)
    assert smaller.exit_code == 0, smaller.output
    reported = stack.materialization("silver/cleaned_trips", month)
    assert (reported["source"], reported["rows_superseded"]) == ("synthetic", 400)
    assert reported["rows_written"] < 300
    real = valid_trips(month, 80).drop_columns(["Airport_fee"])
    path = tmp_path / f"yellow_tripdata_{month}.csv"
    pyarrow.csv.write_csv(real, path)
    launch = _run(stack, month, path)
    assert launch.exit_code == 0, launch.output
    assert _silver(stack, month) == _marts(stack, month) == (80, money(real))
    # The file has left the landing zone, and whoever starts the run does not ask for synthetic trips by name.
    refused = stack.launch(month, "--select", "generate_events")
    assert refused.exit_code != 0
    assert "synthetic" in refused.output
    assert _silver(stack, month) == (80, money(real))


def _compressed(folder: Path) -> tuple[Path, pa.Table]:
    table = valid_trips("2021-01", 70)
    plain = folder / "plain.csv"
    pyarrow.csv.write_csv(table.drop_columns(["Airport_fee"]), plain)
    path = folder / "yellow_tripdata_2021-01.csv.gz"
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return path, table


def _far_times(folder: Path) -> tuple[Path, pa.Table]:
    table = valid_trips("2017-05", 50)
    far = [*table["tpep_dropoff_datetime"].to_pylist()]
    far[3], far[4] = far[3].replace(year=2601), far[4].replace(year=9999)
    path = folder / "yellow_tripdata_2017-05.parquet"
    pq.write_table(replaced(table, tpep_dropoff_datetime=far), path, use_deprecated_int96_timestamps=True)
    return path, table


@pytest.mark.parametrize("case", [_compressed, _far_times])
def test_a_files_form_does_not_matter(
    stack: Stack, tmp_path: Path, case: Callable[[Path], tuple[Path, pa.Table]]
) -> None:
    path, table = case(tmp_path)
    month = path.name.split("_")[2][:7]
    launch = _run(stack, month, path, *TO_SILVER)
    assert launch.exit_code == 0, launch.output
    assert _silver(stack, month) == (table.num_rows, money(table))


def test_the_congestion_zones_fee_is_in_every_layer_and_an_unknown_column_in_bronze(
    stack: Stack, tmp_path: Path
) -> None:
    month = "2025-02"
    table = valid_trips(month, 60)
    fees = [0.75 if row % 4 else 0.0 for row in range(60)]
    totals = [round(total + fee, 2) for total, fee in zip(table["total_amount"].to_pylist(), fees, strict=True)]
    table = replaced(table, total_amount=totals).append_column("cbd_congestion_fee", pa.array(fees))
    table = table.append_column("surge_fee_2026", pa.array([0.5] * 50 + [None] * 10))
    launch = _run(stack, month, _write(table, tmp_path, f"yellow_tripdata_{month}.parquet"))
    assert launch.exit_code == 0, launch.output
    assert _silver(stack, month) == (60, money(table))
    expected = Decimal("33.75")
    for layer in ("silver.cleaned_trips", "marts.fct_trips"):
        assert sum(row["cbd_congestion_fee_usd"] for row in stack.table_rows(layer, month)) == expected
    bronze = stack.table_rows("bronze.raw_trips", month)
    assert sum(row["cbd_congestion_fee"] for row in bronze) == float(expected)
    assert sum(dict(row["unknown_columns"] or ()) == {"surge_fee_2026": "0.5"} for row in bronze) == 50
    assert stack.materialization("generate_events", month)["unknown_columns"] == {"surge_fee_2026": 50}
    assert stack.checks("generate_events", launch.run_id)["known_columns_only"] == ("WARN", False)


def test_a_month_of_2009_keeps_its_coordinates_and_has_unknown_zones(stack: Stack, tmp_path: Path) -> None:
    month = "2009-01"
    table, total = trips_of_2009()
    launch = _run(stack, month, _write(table, tmp_path, f"yellow_tripdata_{month}.parquet"))
    assert launch.exit_code == 0, launch.output
    assert _silver(stack, month) == _marts(stack, month) == (10, total)
    rows: list[dict[str, Any]] = stack.table_rows("silver.cleaned_trips", month)
    assert {(row["vendor_id"], row["payment_type_id"], row["extra_usd"]) for row in rows} == {(2, 2, Decimal("0.50"))}
    assert {(row["pickup_location_id"], row["pickup_longitude"], row["dropoff_latitude"]) for row in rows} == {
        (None, -73.991957, 40.695922)
    }


def test_another_months_file_stops_before_the_marts_and_says_why(stack: Stack, tmp_path: Path) -> None:
    month = "2019-06"
    path = _write(valid_trips("2020-09", 30), tmp_path, f"yellow_tripdata_{month}.parquet")
    launch = _run(stack, month, path)
    assert launch.exit_code != 0
    assert "30 of 30" in launch.output
    assert stack.checks("silver/cleaned_trips", launch.run_id)["rejected_share"] == ("ERROR", False)


def test_marts_of_a_month_that_silver_does_not_have_are_red(stack: Stack) -> None:
    launch = stack.launch("2019-07", "--select", "dbt_build")
    assert launch.exit_code != 0
    assert "silver/cleaned_trips" in launch.output


def test_a_name_that_looks_like_the_months_file_is_named(stack: Stack) -> None:
    month = "2021-03"
    odd = f"yellow_tripdata_{month} (1).parquet"
    objects = stack.objects()
    objects.put_object(Bucket="landing", Key=f"yellow/{odd}", Body=b"PAR1")
    try:
        launch = stack.launch(month, "--select", "kafka_topics,generate_events")
    finally:
        objects.delete_object(Bucket="landing", Key=f"yellow/{odd}")
    assert launch.exit_code != 0
    assert odd in launch.output
