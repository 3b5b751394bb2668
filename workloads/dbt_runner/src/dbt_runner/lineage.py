"""Column lineage: the columns that each model's columns are made from, read from the SQL when the image is built."""

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
        manifest: The manifest with compiled SQL, and with all columns of each source, seed and model.

    Returns:
        By model and column, the sorted columns that it is made from: each the unique id of a seed, model or source,
        and its column's name.

    Raises:
        ProjectError: The lineage of a model cannot be read from its SQL; the message names the model.
    """
    relations = {name: node for part in ("nodes", "sources") for name, node in manifest[part].items()}
    schema: dict[str, Any] = {}
    ids: dict[tuple[str, str, str], str] = {}
    for unique_id, node in relations.items():
        if node["resource_type"] in ("source", "seed", "model"):
            path = (node["database"], node["schema"], node.get("identifier") or node.get("alias") or node["name"])
            ids[path] = unique_id
            # Types do not matter; the names show which columns a "*" stands for.
            schema.setdefault(path[0], {}).setdefault(path[1], {})[path[2]] = dict.fromkeys(node["columns"], "unknown")
    models = {name: node for name, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    return {name: _lineage_of(node, schema, ids) for name, node in sorted(models.items())}


def _lineage_of(node: Mapping[str, Any], schema: Mapping[str, Any], ids: Mapping[tuple[str, str, str], str]) -> Columns:
    try:
        query = qualify(
            sqlglot.parse_one(node["compiled_code"], dialect=_DIALECT), schema=dict(schema), dialect=_DIALECT
        )
        if not isinstance(query, exp.Query):
            raise ProjectError(f"The SQL of the model {node['name']} is not a query. Write it as one select.")
        columns: Columns = {}
        for selected in query.selects:
            name = selected.alias_or_name
            root = lineage(name, query, schema=dict(schema), dialect=_DIALECT)
            columns[name] = sorted({*_origins(root, schema, ids)})
    except (sqlglot.errors.SqlglotError, ValueError) as error:
        raise ProjectError(
            f"The column lineage of the model {node['name']} cannot be read from its SQL ({error}). Expected the "
            "project's .yml files to list every column of the relations that it reads."
        ) from error
    missing = sorted(set(node["columns"]) ^ set(columns))
    if missing:
        raise ProjectError(
            f"The model {node['name']} and its .yml file differ in the columns {', '.join(missing)}. List exactly the "
            "columns that the SQL selects."
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
            # The optimizer turns all names into lower case; this restores the project's spelling.
            written = schema[table.catalog][table.db][table.name]
            yield unique_id, next((column for column in written if column.lower() == name.lower()), name)
