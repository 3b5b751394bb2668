"""Defines the values that the conformance program must report, exactly as in docs/workload-contract.md."""

from typing import cast

import dagster as dg

# Characters that encoders often get wrong: quotes, backslashes, control characters, two to four bytes in UTF-8.
TEXT = 'quote " backslash \\ newline \n tab \t umlaut ü euro € smile 😀'

PAYLOADS = [None, True, 7, 0.5, TEXT, [1, [2]], {"kind": "own", "a": {"b": None}}]


def metadata(run_id: str) -> dict[str, dg.MetadataValue]:
    """Return a metadata value of every type, by name.

    Args:
        run_id: Id of the run itself.
    """
    value = dg.MetadataValue
    fare = dg.TableColumn(
        "fare",
        "decimal",
        description="What was paid",
        tags={"unit": "usd"},
        constraints=dg.TableColumnConstraints(nullable=False, unique=False, other=["> 0"]),
    )
    days = dg.TableSchema([dg.TableColumn("day", "date"), dg.TableColumn("trips", "int")])
    records = [
        dg.TableRecord({"day": "2024-01-01", "trips": 2}),
        # The declared types of a record's values leave out null, but Dagster accepts it.
        dg.TableRecord(cast("dict[str, str]", {"day": "2024-01-02", "trips": None})),
    ]
    source = dg.AssetKey(["silver", "cleaned_trips"])
    return {
        "text": value.text(TEXT),
        "url": value.url("https://example.org/a?b=c&d"),
        "path": value.path("/data/a.parquet"),
        "notebook": value.notebook("/data/a.ipynb"),
        "md": value.md("**bold**"),
        "json": value.json({"a": [1, None, True]}),
        # The largest integer that JSON keeps exact in every language.
        "int": value.int(2**53 - 1),
        "float": value.float(0.1),
        "whole": value.float(3.0),
        "million": value.float(1_000_000.0),
        "bool": value.bool(True),
        "null": value.null(),
        "timestamp": value.timestamp(1704067200.5),
        "run": value.dagster_run(run_id),
        "asset": value.asset(source),
        "inferred": value.json([1, "a"]),
        "table": value.table(records, days),
        "schema": value.table_schema(dg.TableSchema([fare, dg.TableColumn("note", "text")])),
        "lineage": value.column_lineage(
            dg.TableColumnLineage(
                {"fare": [dg.TableColumnDep(source, "fare_amount"), dg.TableColumnDep(source, "tip")]}
            )
        ),
    }
