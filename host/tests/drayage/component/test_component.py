"""What a declaration in YAML becomes, and which mistakes in it are found before anything starts."""

import re
from pathlib import Path
from typing import get_args

import dagster as dg
import pydantic
import pytest
import yaml

from drayage import ContainerWorkload, SettingsError
from drayage.component.fields import PromisedType
from drayage.pipes.schema import schema
from drayage.verdict.promises import ANY, read_promises

TRIP_ASSET = {"key": "lake/trips", "description": "The month's trips."}
ASSETS = [TRIP_ASSET]
TRIPS = dg.AssetKey(["lake", "trips"])
PAGE = Path(__file__).parents[4] / "docs" / "adding-a-workload.md"


def declared(**attributes: object) -> dg.Definitions:
    """Return the definitions of one workload."""
    context = dg.ComponentTree.for_test().load_context
    component = ContainerWorkload.from_attributes_dict(attributes={"assets": ASSETS, **attributes}, context=context)
    return component.build_defs(context)


def test_a_declaration_becomes_its_assets() -> None:
    assets = [{**TRIP_ASSET, "deps": ["topic"], "partitions_def": {"type": "daily", "start_date": "2024-01-01"}}]
    checks = [{"asset": "lake/trips", "name": "whole", "blocking": True}]
    defs = declared(image="an/image", assets=assets, checks=checks, promises={"rows": "int"}, pool="lake")
    definition = defs.get_assets_def(TRIPS)
    (spec,) = definition.specs
    assert [dep.asset_key for dep in spec.deps] == [dg.AssetKey("topic")]
    assert isinstance(spec.partitions_def, dg.DailyPartitionsDefinition)
    assert [check.name for check in definition.check_specs] == ["whole"]
    assert spec.description == "The month's trips."
    assert definition.op.name == "lake__trips"
    assert definition.op.pool == "lake"


def test_the_example_on_the_page_loads_as_printed() -> None:
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    entry = yaml.safe_load(found[1])
    assert entry["type"] == "drayage.ContainerWorkload"
    spec = declared(**entry["attributes"]).get_assets_def(dg.AssetKey("count_trips")).get_asset_spec()
    assert set(read_promises(spec.metadata)) == {"rows", "note"}


def test_every_type_of_metadata_can_be_promised() -> None:
    types = set(schema()["definitions"]["metadataValue"]["properties"]["type"]["enum"])
    assert set(get_args(PromisedType)) == types - {"__infer__"} | {ANY}


def test_monthly_partitions_take_one_line() -> None:
    """Dagster's YAML has types for hours, days and weeks only; its templates know the class."""
    months = "{{ dg.MonthlyPartitionsDefinition('2009-01', '2009-04', fmt='%Y-%m') }}"
    assets = [{**TRIP_ASSET, "partitions_def": months}]
    spec = declared(image="an/image", assets=assets).get_assets_def(TRIPS).get_asset_spec()
    assert isinstance(spec.partitions_def, dg.MonthlyPartitionsDefinition)
    assert spec.partitions_def.get_partition_keys() == ["2009-01", "2009-02", "2009-03"]


def test_a_promise_is_a_type_or_a_mapping() -> None:
    promises = {"rows": "int", "rate": {"type": "float", "unit": "rows/s"}, "note": {"type": "any", "required": False}}
    spec = declared(image="an/image", promises=promises).get_assets_def(TRIPS).get_asset_spec()
    read = read_promises(spec.metadata)
    assert read["rows"].types == ("int",)
    assert read["rate"].types == ("float", "int"), "3.0 arrives as the JSON number 3"
    assert read["rate"].unit == "rows/s"
    assert (read["note"].types, read["note"].required) == ((), False)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({}, "`image` or `build` must be given"),
        ({"build": "nowhere"}, "/nowhere/Dockerfile does not exist"),
        ({"image": "i", "assets": []}, "`assets` must name at least one asset"),
        ({"image": "i", "secrets": {"password": {}}}, "`secrets.password` needs either `env` or `file`"),
        ({"image": "i", "secrets": {"p": {"env": "P", "file": "/p"}}}, "`secrets.p` needs either `env` or"),
        ({"image": "i", "assets": [{"key": "lake/trips"}]}, "lake/trips has no `description`"),
        ({"image": "i", "assets": [TRIP_ASSET, {"key": "b", "description": " "}]}, "b has no `description`"),
        ({"image": "i", "adapter": "key_value", "assets": [{"key": "a"}, {"key": "b"}]}, "there are 2"),
        (
            {"image": "i", "adapter": "key_value", "checks": [{"asset": "lake/trips", "name": "c"}]},
            "must use Pipes",
        ),
    ],
)
def test_a_contradiction_is_named_when_definitions_load(attributes: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match="Nothing was started") as error:
        declared(**attributes)
    assert says in str(error.value)


def test_all_contradictions_are_named_together() -> None:
    with pytest.raises(SettingsError) as error:
        declared(assets=[], secrets={"p": {}})
    assert all(name in str(error.value) for name in ("`image`", "`assets`", "`secrets.p`"))


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"resources": {"timeot_s": 5}}, "timeot_s"),
        ({"resources": {"memory": "1x"}}, "expected a size such as 512m or 2g, got '1x'"),
        ({"promises": {"rows": "integer"}}, "Input should be 'any', 'int'"),
        ({"adapter": "xml"}, "json_lines"),
        ({"comand": ["true"]}, "comand"),
    ],
)
def test_a_malformed_field_is_named(attributes: dict[str, object], says: str) -> None:
    with pytest.raises(pydantic.ValidationError) as error:
        declared(image="an/image", **attributes)
    assert says in str(error.value)


def test_text_stays_text_and_templates_are_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster parses text that looks like a number: 3.10 would arrive as 3.1."""
    monkeypatch.setenv("RELEASE", "3.10")
    component = ContainerWorkload.from_attributes_dict(
        attributes={
            "assets": ASSETS,
            "image": "an/image",
            "command": ["run", "3.10", "{{ env.RELEASE }}", "echo ${#name}"],
            "env": {"RELEASE": "3.10", "SAME": "{{ env.RELEASE }}", "LIST": "[1, 2]"},
            "extras": {"release": "3.10", "rows": 3, "inner": [{"none": None}]},
        }
    )
    assert component.command == ["run", "3.10", "3.10", "echo ${#name}"]
    assert component.env == {"RELEASE": "3.10", "SAME": "3.10", "LIST": "[1, 2]"}
    assert component.extras == {"release": "3.10", "rows": 3, "inner": [{"none": None}]}


def test_a_deployed_host_needs_no_build_folder_if_the_image_is_named() -> None:
    assert declared(image="an/image", build="nowhere").get_assets_def(TRIPS)
