"""Report dbt's events to Dagster while the build runs."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from textwrap import shorten
from threading import Lock
from typing import Any, Protocol

from dagster_pipes import PipesContext, PipesMetadataRawValue, PipesMetadataValue
from dbt_common.events.base_types import EventMsg

from dbt_runner.content import Column, Content
from dbt_runner.outcome import NodeOutcome
from dbt_runner.project import (
    Node,
    Project,
    describe_columns,
    describe_kind,
    is_month_scoped,
    keeps_numbers,
    relation_name,
)
from dbt_runner.request import Request

Metadata = dict[str, PipesMetadataRawValue | PipesMetadataValue]

_NODE_FINISHED = "NodeFinished"
# With any other status the test's table does not exist, because an error came before dbt created it.
_JUDGED = ("pass", "warn", "fail")
# DuckDB repeats its advice; the full text is in the step's stdout.
_MESSAGE_CHARACTERS = 600


class Relations(Protocol):
    """Reads the relations that dbt has built from the database."""

    def read_content(self, relation: str, months: Sequence[str] = ()) -> dict[str, Content]:
        """Read the content by month, of all or some months; under an empty name if the relation has no months."""

    def list_columns(self, relation: str) -> list[Column]:
        """List the columns in order."""

    def read_rows(self, relation: str) -> list[dict[str, Any]]:
        """Read all rows."""


class Reporter:
    """Turns the end of each node into a materialization or a check result.

    dbt calls it from the threads that run the nodes; it reports one node at a time, in the order in which they end.

    Args:
        pipes: The step's Pipes context, which receives the reports.
        request: What to build.
        project: The parsed project.
        relations: Reads the relations that dbt has built.
    """

    def __init__(self, pipes: PipesContext, request: Request, project: Project, relations: Relations) -> None:
        self._pipes = pipes
        self._request = request
        self._project = project
        self._relations = relations
        self._lock = Lock()
        self.outcomes: dict[str, NodeOutcome] = {}
        self.errors: list[Exception] = []

    def __call__(self, event: EventMsg) -> None:
        """Handle one of dbt's events."""
        if event.info.name != _NODE_FINISHED:
            return
        try:
            with self._lock:
                self._report(event.data.node_info.unique_id, event.data.run_result)
        except Exception as error:  # noqa: BLE001  # kept for the caller: raised here, it would end dbt's worker thread
            self.errors.append(error)

    def _report(self, unique_id: str, result: Any) -> None:
        node = self._project.node(unique_id)
        if node is None:
            return
        tested = self._project.tested_node(unique_id)
        outcome = NodeOutcome(
            unique_id=unique_id,
            name=node.name,
            kind=describe_kind(node),
            status=result.status,
            execution_s=round(result.execution_time, 3),
            failing_rows=result.num_failures,
            message=shorten(result.message, _MESSAGE_CHARACTERS, placeholder=" …"),
            subject=tested.rpartition(".")[2] if tested else "",
            path=node.original_file_path,
        )
        self.outcomes[unique_id] = outcome
        if outcome.skipped:
            # A skipped test adds nothing to its skipped model.
            if outcome.kind not in ("test", "unit_test"):
                self._pipes.log.warning("%s %s: skipped, because a node before it failed", outcome.kind, outcome.name)
        elif outcome.kind in ("test", "unit_test"):
            self._report_check(outcome, node, tested)
        elif outcome.good:
            self._report_materialization(outcome, node)
        else:
            self._pipes.log.error(outcome.describe())

    def _report_materialization(self, outcome: NodeOutcome, node: Node) -> None:
        months = self._request.months
        relation = relation_name(node)
        contents = self._relations.read_content(relation, months if is_month_scoped(node) else ())
        content = Content.total(contents.values())
        metadata: Metadata = {
            "execution_s": {"raw_value": outcome.execution_s, "type": "float"},
            "rows_per_second": {"raw_value": content.rows_per_second(outcome.execution_s), "type": "float"},
            "dagster/row_count": {"raw_value": content.rows, "type": "int"},
            "dagster/column_schema": self._column_schema(node, relation),
            "dagster/column_lineage": self._column_lineage(outcome.unique_id),
            "dbt_status": {"raw_value": outcome.status, "type": "text"},
            "dbt_unique_id": {"raw_value": outcome.unique_id, "type": "text"},
        }
        self._pipes.log.info("%s %s: %d rows in %.2f s", outcome.kind, outcome.name, content.rows, outcome.execution_s)
        key = self._request.reportable_key(outcome.unique_id)
        if key is not None:
            # Versioned by the built months' rows, so that downstream assets are stale only if these rows changed.
            built = Content.total(part for month, part in contents.items() if month in {"", *months} or not months)
            self._pipes.report_asset_materialization(metadata=metadata, asset_key=key, data_version=built.version)

    def _column_schema(self, node: Node, relation: str) -> PipesMetadataValue:
        descriptions = describe_columns(node)
        columns = [
            {"name": column.name, "type": column.type, "description": descriptions.get(column.name.lower())}
            for column in self._relations.list_columns(relation)
        ]
        return {"raw_value": {"columns": columns}, "type": "table_schema"}

    def _column_lineage(self, unique_id: str) -> PipesMetadataValue:
        keys = self._request.asset_keys
        by_column = {
            column: [
                # A list of parts, because Dagster reads a string as a key of one part.
                {"asset_key": keys[origin].split("/"), "column_name": name}
                for origin, name in origins
                if origin in keys
            ]
            for column, origins in self._project.column_lineage(unique_id).items()
        }
        return {"raw_value": {"deps_by_column": by_column}, "type": "table_column_lineage"}

    def _report_check(self, outcome: NodeOutcome, node: Node, tested: str | None) -> None:
        if not outcome.good:
            self._pipes.log.error(outcome.describe())
        elif outcome.status == "warn":
            self._pipes.log.warning("test %s on %s: %d rows", outcome.name, outcome.subject, outcome.failing_rows)
        key = self._request.reportable_key(tested)
        if key is None:
            return
        metadata: Metadata = {
            "execution_s": {"raw_value": outcome.execution_s, "type": "float"},
            "failing_rows": {"raw_value": outcome.failing_rows, "type": "int"},
            "dbt_status": {"raw_value": outcome.status, "type": "text"},
            "dbt_unique_id": {"raw_value": outcome.unique_id, "type": "text"},
        }
        if outcome.message and not outcome.good:
            metadata["dbt_message"] = {"raw_value": outcome.message, "type": "text"}
        if keeps_numbers(node) and outcome.status in _JUDGED:
            metadata |= _numbers(self._relations.read_rows(relation_name(node)))
        self._pipes.report_asset_check(
            check_name=outcome.name,
            passed=outcome.status == "pass",
            severity="WARN" if outcome.status == "warn" else "ERROR",
            metadata=metadata,
            asset_key=key,
        )


def _numbers(rows: Sequence[Mapping[str, Any]]) -> Metadata:
    """Return the rows that a test kept, and the numbers of a single row under their own names."""
    listed = [
        {name: str(value) if isinstance(value, Decimal) else value for name, value in row.items()} for row in rows
    ]
    metadata: Metadata = {"numbers": {"raw_value": listed, "type": "json"}}
    for name, value in rows[0].items() if len(rows) == 1 else ():
        if isinstance(value, Decimal):
            metadata[name] = {"raw_value": float(value), "type": "float"}
        elif isinstance(value, int) and not isinstance(value, bool):
            metadata[name] = {"raw_value": value, "type": "int"}
    return metadata


def encode_vars(variables: Mapping[str, Any]) -> str:
    """Encode variables for ``--vars``, which takes YAML and therefore JSON."""
    return json.dumps(dict(variables))
