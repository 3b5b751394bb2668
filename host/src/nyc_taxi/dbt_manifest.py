"""Turns dbt's manifest into Dagster's assets and checks.

dagster-dbt reads manifests too, but importing it costs every run worker 0.6 s of processor time, and it needs twenty
packages that are of use only on a host that runs dbt itself, which this one does not.
*Source*: manifest schema v12, https://schemas.getdbt.com/dbt/manifest/v12.json.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from drayage import promises
from nyc_taxi.keys import OWNERS
from nyc_taxi.reports import NodeReport

Node = Mapping[str, Any]

_ASSET_TYPES = ("seed", "model")
_BY_MONTH = "by_month"
_GROUPS = {
    "seeds": "staging",
    "staging": "staging",
    "intermediate": "intermediate",
    "core": "marts",
    "analytics": "marts",
}


class ManifestError(Exception):
    """The pipeline cannot read the manifest."""


@dataclass(frozen=True)
class Publication:
    """A model that is also published as an Iceberg table, because its ``config.meta.published`` is set.

    Args:
        mart: The key of the model.
        by_month: Whether the model is published month by month; otherwise it is published as a whole.
        description: What the model holds.
        columns: What each column holds, by name.
    """

    mart: dg.AssetKey
    by_month: bool
    description: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class DbtProject:
    """The nodes of a dbt project that Dagster knows.

    Args:
        specs: An asset for each seed and model.
        check_specs: An asset check for each data test and unit test.
        asset_keys: The key of each seed and model, by dbt's unique id.
        source_keys: The key of each source, by dbt's unique id.
        check_keys: The key of each test, by dbt's unique id.
        publications: The models that are also published as Iceberg tables.
    """

    specs: tuple[dg.AssetSpec, ...]
    check_specs: tuple[dg.AssetCheckSpec, ...]
    asset_keys: Mapping[str, dg.AssetKey]
    source_keys: Mapping[str, dg.AssetKey]
    check_keys: Mapping[str, dg.AssetCheckKey]
    publications: tuple[Publication, ...]


def read_dbt_project(text: bytes, *, where: str) -> DbtProject:
    """Turn a manifest into assets and checks.

    Args:
        text: The JSON of the manifest.
        where: Where the manifest comes from, for the error.

    Returns:
        The project.

    Raises:
        ManifestError: The text is not a manifest, or it is not clear which model a test belongs to.
    """
    try:
        manifest = json.loads(text)
        nodes: dict[str, Node] = {**manifest["nodes"], **manifest["sources"], **manifest.get("unit_tests", {})}
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            f"{where} is not a dbt manifest ({error!r}); expected JSON with 'nodes' and 'sources'. "
            "Build the dbt image again: its build writes the manifest."
        ) from error
    assets = {name: node for name, node in nodes.items() if node["resource_type"] in _ASSET_TYPES}
    asset_keys = {name: _asset_key(node) for name, node in assets.items()}
    check_specs = dict(_check_specs(nodes, asset_keys, where))
    return DbtProject(
        specs=tuple(_asset_spec(node, nodes) for node in assets.values()),
        check_specs=tuple(check_specs.values()),
        asset_keys=asset_keys,
        source_keys={name: _asset_key(node) for name, node in nodes.items() if node["resource_type"] == "source"},
        check_keys={name: spec.key for name, spec in check_specs.items()},
        publications=tuple(
            Publication(
                mart=asset_keys[name],
                by_month=_published(node) == _BY_MONTH,
                description=node["description"],
                columns={column["name"]: column["description"] for column in node["columns"].values()},
            )
            for name, node in assets.items()
            if _published(node)
        ),
    )


def _published(node: Node) -> str | None:
    """Return how a model is published; None if it is not."""
    published: str | None = node["config"].get("meta", {}).get("published")
    return published


def _asset_key(node: Node) -> dg.AssetKey:
    """Return the key of a seed, model or source: its schema and its name."""
    return dg.AssetKey([node["schema"], node["name"]])


def _asset_spec(node: Node, nodes: Mapping[str, Node]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=_asset_key(node),
        deps=[_asset_key(nodes[parent]) for parent in node.get("depends_on", {}).get("nodes", [])],
        description=node["description"],
        group_name=_GROUPS.get(node["schema"], node["schema"]),
        kinds={"dbt", "duckdb", str(node["config"]["materialized"])},
        owners=OWNERS,
        tags={"layer": node["schema"], **dict.fromkeys(node["tags"], "")},
        # The checksum of the SQL or CSV file: a change elsewhere in the image leaves the asset fresh.
        code_version=node["checksum"]["checksum"],
        metadata={"dbt_path": node["original_file_path"], **promises(NodeReport)},
    )


def _check_specs(
    nodes: Mapping[str, Node], asset_keys: Mapping[str, dg.AssetKey], where: str
) -> Iterator[tuple[str, dg.AssetCheckSpec]]:
    for name, node in nodes.items():
        if node["resource_type"] not in ("test", "unit_test"):
            continue
        tested = _tested_node(node, asset_keys)
        if tested is None:
            raise ManifestError(
                f"{where}: the dbt test {node['name']} depends on several models and does not say which one it tests; "
                "set config.meta.dagster.ref.name in the test."
            )
        yield (
            name,
            dg.AssetCheckSpec(
                name=node["name"],
                asset=asset_keys[tested],
                description=node.get("description") or _describe_test(node),
                # Nothing may be built from a wrong mart; a test that only warns blocks nothing.
                blocking=str(node["config"].get("severity", "error")).lower() == "error",
                metadata={"dbt_unique_id": name},
            ),
        )


def _tested_node(node: Node, asset_keys: Mapping[str, dg.AssetKey]) -> str | None:
    """Return the node that a test is about: the one it is attached to, the one it names, or its only parent."""
    attached = node.get("attached_node") or node.get("tested_node_unique_id")
    if attached in asset_keys:
        return str(attached)
    named = node.get("config", {}).get("meta", {}).get("dagster", {}).get("ref", {}).get("name")
    parents = [parent for parent in node["depends_on"]["nodes"] if parent in asset_keys]
    candidates = [parent for parent in parents if parent.rpartition(".")[2] == named] if named else parents
    return candidates[0] if len(candidates) == 1 else None


def _describe_test(node: Node) -> str:
    """Describe in words what a test without a description demands."""
    if node["resource_type"] == "unit_test":
        return "dbt unit test: given rows in, expected rows out."
    if not node.get("test_metadata"):
        return "dbt test written as a query: it passes when the query returns no row."
    column = node.get("column_name")
    return f"dbt test {node['test_metadata']['name']}" + (f" on column {column}." if column else ".")
