"""Which columns each model's columns are made from, read out of its SQL when the image is built."""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify

from dbt_runner.errors import ProjectError

_DIALECT = "duckdb"

Columns = dict[str, list[tuple[str, str]]]


def read_lineage(manifest: Mapping[str, Any]) -> dict[str, Columns]:
    """Read the lineage of every model.

    Args:
        manifest: The manifest with compiled SQL; each source, seed and model with all its columns.

    Returns:
        By model and column: unique id and column of each seed, model or source column that it is made from, sorted.

    Raises:
        ProjectError: A model's SQL cannot be followed; it is named.
    """
    relations = {name: node for part in ("nodes", "sources") for name, node in manifest[part].items()}
    schema: dict[str, Any] = {}
    ids: dict[tuple[str, str, str], str] = {}
    for unique_id, node in relations.items():
        if node["resource_type"] in ("source", "seed", "model"):
            path = (node["database"], node["schema"], node.get("identifier") or node.get("alias") or node["name"])
            ids[path] = unique_id
            # Types play no part: what counts is which columns a "*" stands for.
            schema.setdefault(path[0], {}).setdefault(path[1], {})[path[2]] = dict.fromkeys(node["columns"], "unknown")
    models = {name: node for name, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    return {name: _lineage_of(node, schema, ids) for name, node in sorted(models.items())}


def _lineage_of(node: Mapping[str, Any], schema: Mapping[str, Any], ids: Mapping[tuple[str, str, str], str]) -> Columns:
    try:
        query = qualify(
            sqlglot.parse_one(node["compiled_code"], dialect=_DIALECT), schema=dict(schema), dialect=_DIALECT
        )
        if not isinstance(query, exp.Query):
            raise ProjectError(f"The SQL of the model {node['name']} is no query. Write it as one select.")
        columns: Columns = {}
        for selected in query.selects:
            name = selected.alias_or_name
            root = lineage(name, query, schema=dict(schema), dialect=_DIALECT)
            columns[name] = sorted({*_origins(root, schema, ids)})
    except (sqlglot.errors.SqlglotError, ValueError) as error:
        raise ProjectError(
            f"The column lineage of the model {node['name']} cannot be read from its SQL ({error}). Expected every "
            "column of what it reads to be listed in the project's .yml files."
        ) from error
    missing = sorted(set(node["columns"]) ^ set(columns))
    if missing:
        raise ProjectError(
            f"The model {node['name']} and its .yml file differ in the columns {', '.join(missing)}. List just the "
            "columns that the SQL makes."
        )
    return columns


def _origins(
    root: Node, schema: Mapping[str, Any], ids: Mapping[tuple[str, str, str], str]
) -> Iterator[tuple[str, str]]:
    for node in root.walk():
        table = node.expression
        if isinstance(table, exp.Table) and not node.downstream:
            unique_id = ids[table.catalog, table.db, table.name]
            name = node.name.rpartition(".")[2].strip('"')
            # The names that the project gives: the optimizer makes them all lower-case.
            written = schema[table.catalog][table.db][table.name]
            yield unique_id, next((column for column in written if column.lower() == name.lower()), name)
