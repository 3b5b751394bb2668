"""What each step must report: one model for each kind of asset, with the names and units that the UI shows.

The models become the assets' promises: a step fails if its workload leaves out one of the fields.
"""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field

from nyc_taxi.sources import describe_source

Events = Annotated[int, Field(ge=0, json_schema_extra={"unit": "events"})]
Rows = Annotated[int, Field(ge=0, json_schema_extra={"unit": "rows"})]
Source = Annotated[str, Field(description="What the month's trips come from: `tlc_file` or `synthetic`.")]
SourceVersion = Annotated[str, Field(description="The month's version: what its content is, and the schema it has.")]
SourceName = Annotated[str, Field(description="The file's name, or the seed and the number of synthetic trips.")]

_Value = TypeVar("_Value")


class Report(BaseModel):
    """The metadata that a workload reports for one asset."""

    # Dagster's TableSchema is not a pydantic type.
    model_config = ConfigDict(arbitrary_types_allowed=True)


class TopicsReport(Report):
    """The Kafka topics exist."""

    topics_created: int = Field(description="Topics that this run created.")
    topics_existing: int = Field(description="Topics that existed before.")
    partitions: int = Field(description="Partitions of the topic with the trips.")


class EventsReport(Report):
    """A month of trips is in Kafka."""

    events_produced: Events = Field(description="Events handed to the Kafka client.")
    events_acknowledged: Events = Field(description="Events that the broker acknowledged.")
    events_committed: Events = Field(description="Events in transactions whose commit the broker confirmed.")
    events_per_second: float = Field(description="Acknowledged events, divided by the seconds of sending.")
    bytes_produced: int = Field(
        description="Bytes of the encoded values, before compression.", json_schema_extra={"unit": "bytes"}
    )
    events_resumed: Events = Field(description="Events of the same version that an earlier attempt had committed.")
    events_in_version: Events = Field(description="Events of the month's version, whichever attempt committed them.")
    offsets: dict[str, Any] = Field(description="The version's first and last offset in each Kafka partition.")
    schema_id: int = Field(description="The Avro schema's id in the registry.")
    source: Source
    source_version: SourceVersion
    source_name: SourceName
    unknown_columns: dict[str, Any] = Field(
        description="How many values each column has that the event's schema does not know; bronze keeps them."
    )


class LakeReport(Report):
    """A Flink job has committed to an Iceberg table."""

    flink_job_id: str = Field(description="The Flink job that committed.")
    flink_job_url: str = Field(description="The page of that job in Flink's UI.")
    rows_read: Rows = Field(description="Rows that the step read.")
    rows_written: Rows = Field(description="Rows that the step wrote to the table.")
    rows_rejected: Rows = Field(description="Rows that break a rule; they are kept apart, with the reason.")
    duplicates: Rows = Field(description="Rows left out because another row of the same trip is kept.")
    rows_per_second: float = Field(description="Rows read, divided by the seconds of the Flink job.")
    snapshot_id: int | str = Field(description="The Iceberg snapshot that the step committed or found.")
    row_count: Rows = Field(alias="dagster/row_count", description="The month's rows in the table.")
    column_schema: dg.TableSchema = Field(alias="dagster/column_schema", description="The table's columns.")
    table_name: str = Field(alias="dagster/table_name", description="The table's full name.")


class BronzeReport(LakeReport):
    """A Flink job has loaded the topic's records; topic and table were compared offset by offset."""

    rows_read: Rows = Field(description="Records committed to the topic since a step last reported.")
    rows_written: Rows = Field(description="Of these, records whose row holds a trip.")
    rows_undecodable: Rows = Field(
        description="Of these, records whose row holds their bytes and why they cannot be decoded."
    )
    rows_in_quarantine: Rows = Field(description="All rows that `bronze.quarantine` shows.")
    records_missing: Rows = Field(description="Committed records without a row.")
    rows_repeated: Rows = Field(description="Rows beyond the one for each record.")
    offset_gaps: int = Field(ge=0, description="Offsets without a record: ends of transactions, and aborted events.")


class SilverReport(LakeReport):
    """A Flink job has replaced a month with the trips of its current version."""

    rows_superseded: Rows = Field(description="Rows of versions of the month that are no longer the current one.")
    rows_rounded: Rows = Field(description="Written rows with an amount that was rounded to whole cents.")
    rows_without_vendor: Rows = Field(description="Written rows whose vendor is not known.")
    source: Source
    source_version: SourceVersion
    source_name: SourceName


class AuditReport(Report):
    """A month was counted again, independently of the steps that made it."""

    records_read: int = Field(ge=0, description="Committed records in the topic.")
    records_audited: int = Field(ge=0, description="Of these, records of the month.")
    records_undecodable: int = Field(ge=0, description="Of these, records that cannot be decoded.")
    rows_in_bronze: Rows = Field(description="The month's rows in bronze.")
    rows_in_silver: Rows = Field(description="The month's rows in silver.")
    rows_in_fct_trips: Rows = Field(description="The month's rows in the published fct_trips.")
    rows_rejected: Rows = Field(description="Events that break a rule, as the auditor itself applies the rules.")
    rows_undecodable: Rows = Field(description="Rows of bronze with a record that cannot be decoded.")
    duplicates: Rows = Field(description="Rows of bronze that repeat an event or a trip.")
    rows_superseded: Rows = Field(description="Rows of bronze of versions that are no longer the current one.")
    source: Source
    source_version: SourceVersion
    source_name: SourceName
    total_amount_usd: str = Field(description="The exact sum of what silver's trips cost.")
    checks_failed: int = Field(ge=0, description="Checks that did not pass.")
    rows_per_second: float = Field(
        description="Records and rows read, some more than once, divided by topic_s + tables_s."
    )
    topic_s: float = Field(description="Seconds that reading the topic took.", json_schema_extra={"unit": "s"})
    tables_s: float = Field(description="Seconds that reading the tables took.", json_schema_extra={"unit": "s"})
    snapshots: dict[str, Any] = Field(description="The snapshots that were read, by table.")


class ExpiryReport(Report):
    """Old snapshots of the lake's tables were removed."""

    snapshots_before: int = Field(ge=0, description="Snapshots of the tables before.")
    snapshots_after: int = Field(ge=0, description="Snapshots of the tables after.")
    files_deleted: int = Field(ge=0, description="Files that no remaining snapshot needs.")
    tables: dict[str, Any] = Field(description="The same counts by table.")


class NodeReport(Report):
    """dbt has built one seed or model."""

    execution_s: float = Field(description="Seconds that dbt took for the node.", json_schema_extra={"unit": "s"})
    rows_per_second: float = Field(description="Rows of the relation, divided by execution_s.")
    row_count: Rows = Field(alias="dagster/row_count", description="Rows of the relation.")
    column_schema: dg.TableSchema = Field(alias="dagster/column_schema", description="The relation's columns.")
    column_lineage: dg.TableColumnLineage = Field(
        alias="dagster/column_lineage", description="The columns that each column is made from."
    )
    dbt_status: str = Field(description="The status that dbt reports.")
    dbt_unique_id: str = Field(description="The node's unique id in dbt.")


class PublicationReport(Report):
    """A mart was published as an Iceberg table."""

    execution_s: float = Field(description="Seconds that publishing the table took.", json_schema_extra={"unit": "s"})
    rows_per_second: float = Field(
        description="Rows of the published months, written or found equal, divided by execution_s."
    )
    rows_written: Rows = Field(description="Rows that were written; none if the table already had them.")
    rows_deleted: Rows = Field(description="Rows that were deleted because others replace them.")
    snapshot_id: str = Field(description="The snapshot of the table with these rows.")
    row_count: Rows = Field(alias="dagster/row_count", description="Rows of the published months in the table.")
    table_name: str = Field(alias="dagster/table_name", description="The table's full name.")
    column_schema: dg.TableSchema = Field(alias="dagster/column_schema", description="The table's columns.")
    column_lineage: dg.TableColumnLineage = Field(
        alias="dagster/column_lineage", description="The column of the mart that each column is copied from."
    )


def read_reported(result: dg.MaterializeResult[Any], name: str, kind: type[_Value]) -> _Value:
    """Read a value that a workload reported.

    Args:
        result: The materialization that the workload reported.
        name: The name of the metadata.
        kind: The type of the value.

    Returns:
        The value.

    Raises:
        dagster.DagsterInvariantViolationError: The value has another type.
    """
    value = (result.metadata or {})[name]
    raw = value.value if isinstance(value, dg.MetadataValue) else value
    if not isinstance(raw, kind):
        raise dg.DagsterInvariantViolationError(f"{name} is {raw!r}; expected {kind.__name__}, as the asset promises.")
    return raw


def read_counts(result: dg.MaterializeResult[Any], names: Sequence[str]) -> dict[str, int]:
    """Read whole numbers that a workload reported, by name; as :func:`read_reported`."""
    return {name: read_reported(result, name, int) for name in names}


def read_source(result: dg.MaterializeResult[Any]) -> str:
    """Read the source that a workload reported, as people read it: see :func:`describe_source`."""
    return describe_source(read_reported(result, "source", str), read_reported(result, "source_name", str))
