"""The parsed project: the nodes that a request selects, and the node that a test tests."""

from pathlib import Path

import pytest

from dbt_runner.errors import ProjectError, RequestError
from dbt_runner.project import Project, load_project

FACTS = "model.nyc_taxi.fct_trips"


def find(project: Project, name: str) -> str:
    """Return the unique id of the node with this name."""
    return next(key for key, node in project.manifest.nodes.items() if node.name == name)


def test_nothing_selected_means_everything(project: Project) -> None:
    """Without a selection dbt builds every node."""
    assert project.selection([]) == []


def test_selected_models_bring_their_own_tests(project: Project) -> None:
    """A test that also reads a model which is not built would test that model's old rows."""
    assert project.selection([FACTS]) == [
        "--indirect-selection",
        "buildable",
        "--select",
        "fqn:nyc_taxi.core.fct_trips",
    ]


def test_selected_tests_leave_out_the_others(project: Project) -> None:
    """Dagster names the checks that it expects."""
    chosen = find(project, "fct_trips_has_every_key")
    assert project.selection([FACTS, chosen]) == [
        "--indirect-selection",
        "empty",
        "--select",
        "fqn:nyc_taxi.core.fct_trips",
        "fqn:nyc_taxi.core.fct_trips_has_every_key",
    ]


def test_node_of_another_images_manifest_is_refused(project: Project) -> None:
    """Otherwise dbt would warn and build nothing, and the step would succeed."""
    with pytest.raises(RequestError, match=r"no node model\.nyc_taxi\.gone.*Reload the code location"):
        project.selection([FACTS, "model.nyc_taxi.gone"])


@pytest.mark.parametrize(
    ("test", "tested"),
    [
        ("unique_fct_trips_trip_id", "model.nyc_taxi.fct_trips"),
        ("fct_trips_payment_type_is_a_member", "model.nyc_taxi.fct_trips"),
        ("daily_revenue_has_silver_money", "model.nyc_taxi.daily_revenue"),
        ("daily_revenue_covers_every_day", "model.nyc_taxi.daily_revenue"),
        ("taxi_zones_has_265_rows", "seed.nyc_taxi.taxi_zones"),
        ("fct_trips", None),
    ],
)
def test_test_belongs_to_the_model_it_is_written_under_or_names(
    project: Project, test: str, tested: str | None
) -> None:
    """A relationship test or a query has several parents, but its check belongs to one asset."""
    assert project.tested_node(find(project, test)) == tested


def test_node_without_an_asset_is_refused_before_anything_is_built(project: Project) -> None:
    """Otherwise it would be built without being reported."""
    project.require_asset_keys([FACTS], [FACTS])
    with pytest.raises(RequestError, match=r"no asset: model\.nyc_taxi\.stg_trips"):
        project.require_asset_keys([FACTS, "model.nyc_taxi.stg_trips"], [FACTS])
    with pytest.raises(RequestError, match=r"model\.nyc_taxi\.daily_revenue"):
        project.require_asset_keys([], [FACTS])


def test_image_without_a_parsed_project_says_so(tmp_path: Path) -> None:
    """The remedy is the same whether the file is missing or damaged."""
    with pytest.raises(ProjectError, match="FileNotFoundError"):
        load_project(tmp_path)
    (tmp_path / "partial_parse.msgpack").write_bytes(b"\x81")
    with pytest.raises(ProjectError, match="Build the image again"):
        load_project(tmp_path)
