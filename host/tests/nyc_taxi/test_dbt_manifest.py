import json
from typing import Any

import dagster as dg
import pytest
from manifest_fixture import manifest, node

from nyc_taxi.dbt_manifest import DbtProject, ManifestError, read_dbt_project


def read(document: Any) -> DbtProject:
    return read_dbt_project(json.dumps(document).encode(), where="image drayage/dbt-runner")


def test_every_test_is_a_check_of_the_model_that_it_tests() -> None:
    checks = {spec.name: spec.asset_key.to_user_string() for spec in read(manifest()).check_specs}
    assert checks == {
        "not_null_fct_trips_trip_id": "core/fct_trips",
        "fct_trips_payment_type_is_a_member": "core/fct_trips",
        "fct_trips_has_every_silver_trip": "core/fct_trips",
        "no_day_without_trips": "analytics/daily_revenue",
        "speed_of_a_trip": "staging/stg_trips",
    }


def test_every_check_describes_what_it_demands() -> None:
    descriptions = {spec.name: spec.description for spec in read(manifest()).check_specs}
    assert all(descriptions.values())
    assert descriptions["not_null_fct_trips_trip_id"] == "dbt test not_null on column trip_id."
    assert descriptions["fct_trips_has_every_silver_trip"] == "What fct_trips_has_every_silver_trip holds."


def test_a_test_of_several_models_must_say_which_one_it_is_about() -> None:
    document = manifest()
    parents = ("model.taxi.fct_trips", "model.taxi.stg_trips")
    document["nodes"]["test.taxi.vague"] = node("test", "vague", "audit", parents)
    with pytest.raises(ManifestError, match=r"vague depends on several models .* config.meta.dagster.ref.name"):
        read(document)


def test_a_publication_describes_the_columns_of_its_mart() -> None:
    """The table has the columns of the mart, and the container that publishes it does not read the manifest."""
    (first, *_) = read(manifest()).publications
    assert first.mart == dg.AssetKey(["core", "fct_trips"])
    assert first.columns == {"trip_month": "Month of fct_trips."}


def test_tests_and_models_are_found_by_dbts_own_names() -> None:
    project = read(manifest())
    assert project.asset_keys["model.taxi.fct_trips"] == dg.AssetKey(["core", "fct_trips"])
    assert project.check_keys["unit_test.taxi.speed"].name == "speed_of_a_trip"


@pytest.mark.parametrize("text", [b"", b"[]", b'{"nodes": {}}'])
def test_a_text_that_is_not_a_manifest_is_refused_with_its_source(text: bytes) -> None:
    with pytest.raises(ManifestError, match="image drayage/dbt-runner is not a dbt manifest"):
        read_dbt_project(text, where="image drayage/dbt-runner")
