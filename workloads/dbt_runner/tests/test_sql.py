"""The dbt project itself."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from lake_file import make_lake
from step import PROJECT

# Counts of rows, which read no column.
COUNTS = {
    "hourly_demand.calendar_days",
    "int_daily_summary.trips",
    "int_hourly_patterns.trips",
    "location_performance.dropoffs",
    "location_performance.pickups",
}
# The TLC's taxi_zone_lookup.csv, as published.
TAXI_ZONES_SHA256 = "5e8f5ff10175d75f468c6fbdf0f68ca93e77ecd48942718d5403f8b7232e90b0"


def test_unit_tests_of_the_metrics_pass(environment: dict[str, str], tmp_path: Path) -> None:
    """Unit tests test the SQL itself, so they run when it changes instead of in every build."""
    lake = make_lake(tmp_path / "lake.duckdb", "2019-01", rows=10)
    dbt = subprocess.run(  # noqa: S603  runs this Python with dbt
        [
            sys.executable, "-m", "dbt.cli.main", "build", "--target", "unit", "--project-dir", str(PROJECT),
            "--target-path", str(tmp_path / "target"), "--log-level-file", "none", "--no-use-colors",
            "--exclude", "test_type:generic", "test_type:singular",
        ],
        env={
            **os.environ, **environment,
            "MARTS_DUCKDB_PATH": str(tmp_path / "marts.duckdb"), "LAKE_DUCKDB_PATH": str(lake),
        },
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert dbt.returncode == 0, dbt.stdout
    results = json.loads((tmp_path / "target" / "run_results.json").read_bytes())["results"]
    passed = [result["unique_id"] for result in results if result["unique_id"].startswith("unit_test.")]
    assert len(passed) == 9


def test_taxi_zones_are_the_tlcs_own_table() -> None:
    """Otherwise a zone renamed by hand would go unnoticed."""
    assert hashlib.sha256((PROJECT / "seeds" / "taxi_zones.csv").read_bytes()).hexdigest() == TAXI_ZONES_SHA256


def test_every_model_and_column_is_described(prepared: Path) -> None:
    """Dagster shows the descriptions."""
    nodes = json.loads((prepared / "manifest.json").read_bytes())["nodes"].values()
    models = [node for node in nodes if node["resource_type"] in ("model", "seed")]
    assert len(models) == 17
    bare = [model["name"] for model in models if "Grain: one row" not in model["description"]]
    bare += [
        f"{model['name']}.{name}"
        for model in models
        for name, column in model["columns"].items()
        if not column["description"] or not column["data_type"]
    ]
    assert bare == []


def test_no_mart_depends_on_the_time_of_the_build() -> None:
    """Building a month again must change no row."""
    clocks = re.compile(r"\b(now|current_timestamp|current_date|today|random|uuid)\b", re.IGNORECASE)
    assert [file.name for file in (PROJECT / "models").rglob("*.sql") if clocks.search(file.read_text())] == []


def test_every_column_of_a_model_leads_back_to_what_it_is_made_from(prepared: Path) -> None:
    """Only the calendar and counts of rows have no origin; names keep the project's spelling."""
    lineage = json.loads((prepared / "column_lineage.json").read_bytes())
    nodes = json.loads((prepared / "manifest.json").read_bytes())["nodes"]
    models = {key: set(node["columns"]) for key, node in nodes.items() if node["resource_type"] == "model"}
    assert {key: set(columns) for key, columns in lineage.items()} == models
    rootless = {
        f"{key.rpartition('.')[2]}.{column}"
        for key, columns in lineage.items()
        for column, origins in columns.items()
        if not origins and key != "model.nyc_taxi.dim_dates"
    }
    assert rootless == COUNTS
    revenue = lineage["model.nyc_taxi.daily_revenue"]
    assert revenue["tip_share_of_fare"] == [
        ["model.nyc_taxi.int_daily_summary", "fare_amount_usd"],
        ["model.nyc_taxi.int_daily_summary", "tip_amount_usd"],
    ]
    assert lineage["model.nyc_taxi.stg_zones"]["zone_name"] == [["seed.nyc_taxi.taxi_zones", "Zone"]]
    assert lineage["model.nyc_taxi.stg_trips"]["trip_id"] == [["source.nyc_taxi.lake.cleaned_trips", "trip_id"]]


def test_manifest_is_the_same_when_prepared_again(environment: dict[str, str], prepared: Path, tmp_path: Path) -> None:
    """The host distinguishes images by their manifest."""
    subprocess.run(
        [sys.executable, "-m", "dbt_runner", "prepare_image"],
        env={**os.environ, **environment, "DBT_PREPARED_PATH": str(tmp_path)},
        check=True,
        timeout=300,
    )
    assert (tmp_path / "manifest.json").read_bytes() == (prepared / "manifest.json").read_bytes()
    digest = hashlib.sha256((tmp_path / "manifest.json").read_bytes()).hexdigest()
    assert (tmp_path / "manifest.json.sha256").read_text() == f"{digest}  manifest.json\n"
    assert "not-so-secret" not in (tmp_path / "manifest.json").read_text()
    assert b"not-so-secret" not in (tmp_path / "partial_parse.msgpack").read_bytes()
