"""A small manifest as dbt 1.11 writes it: a seed, four models, four data tests and a unit test."""

import json
from typing import Any


def node(kind: str, name: str, schema: str, parents: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Return a node with the fields that the host reads."""
    return {
        "resource_type": kind,
        "name": name,
        "schema": schema,
        "description": f"What {name} holds.",
        "tags": [],
        "columns": {"trip_month": {"name": "trip_month", "description": f"Month of {name}."}},
        "config": {"materialized": {"seed": "seed", "model": "table"}.get(kind, "test")},
        "checksum": {"name": "sha256", "checksum": f"sum-of-{name}"},
        "original_file_path": f"somewhere/{name}.sql",
        "depends_on": {"nodes": list(parents)},
        **more,
    }


def published(how: str) -> dict[str, Any]:
    """Return the configuration of a model that is published as an Iceberg table."""
    return {"materialized": "table", "meta": {"published": how}}


def manifest() -> dict[str, Any]:
    """Return the whole manifest."""
    fct, trips = "model.taxi.fct_trips", "model.taxi.stg_trips"
    return {
        "metadata": {"project_name": "taxi"},
        "sources": {
            "source.taxi.lake.cleaned_trips": node("source", "cleaned_trips", "silver"),
        },
        "nodes": {
            "seed.taxi.payment_types": node("seed", "payment_types", "seeds"),
            trips: node("model", "stg_trips", "staging", ("source.taxi.lake.cleaned_trips",)),
            fct: node("model", "fct_trips", "core", (trips, "seed.taxi.payment_types"), config=published("by_month")),
            "model.taxi.dim_payment_types": node(
                "model", "dim_payment_types", "core", ("seed.taxi.payment_types",), config=published("whole")
            ),
            "model.taxi.daily_revenue": node(
                "model", "daily_revenue", "analytics", (fct,), config=published("by_month")
            ),
            "test.taxi.not_null": node(
                "test",
                "not_null_fct_trips_trip_id",
                "audit",
                (fct,),
                attached_node=fct,
                column_name="trip_id",
                test_metadata={"name": "not_null"},
                description="",
            ),
            "test.taxi.relationships": node(
                "test",
                "fct_trips_payment_type_is_a_member",
                "audit",
                ("seed.taxi.payment_types", fct),
                attached_node=fct,
                test_metadata={"name": "relationships"},
            ),
            "test.taxi.named": node(
                "test",
                "fct_trips_has_every_silver_trip",
                "audit",
                ("source.taxi.lake.cleaned_trips", trips, fct),
                config={"meta": {"dagster": {"ref": {"name": "fct_trips"}}}},
            ),
            "test.taxi.only_parent": node(
                "test", "no_day_without_trips", "audit", ("model.taxi.daily_revenue",), config={"severity": "warn"}
            ),
        },
        "unit_tests": {
            "unit_test.taxi.speed": node("unit_test", "speed_of_a_trip", "staging", (trips,), description=""),
        },
    }


def manifest_json() -> bytes:
    """Return the manifest as the image holds it."""
    return json.dumps(manifest()).encode()
