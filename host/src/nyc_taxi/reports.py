"""What each step must report: one model an asset, names and units as the UI shows them.

The models become the asset's promises: a step whose workload leaves one of these out is not green.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field

from drayage import promises

Events = Annotated[int, Field(ge=0, json_schema_extra={"unit": "events"})]
Rows = Annotated[int, Field(ge=0, json_schema_extra={"unit": "rows"})]


class Report(BaseModel):
    """A set of metadata that a workload reports for one asset."""

    # dagster's TableSchema is no pydantic type.
    model_config = ConfigDict(arbitrary_types_allowed=True)


class TopicsReport(Report):
    """The topics are there."""

    topics_created: int = Field(description="Topics that this run created.")
    topics_existing: int = Field(description="Topics that were there before.")
    partitions: int = Field(description="Partitions of the trips' topic.")


class EventsReport(Report):
    """A month of trips is in Kafka."""

    events_produced: Events = Field(description="Events handed to the Kafka client.")
    events_acknowledged: Events = Field(description="Events that the broker acknowledged.")
    events_committed: Events = Field(description="Events of the transactions whose commit the broker confirmed.")
    events_per_second: float = Field(description="Acknowledged events by the seconds of sending.")
    bytes_produced: int = Field(
        description="Bytes of the encoded values, before compression.", json_schema_extra={"unit": "bytes"}
    )
    offsets: dict[str, Any] = Field(description="What was sent to each Kafka partition.")
    schema_id: int = Field(description="The registry's id of the Avro schema.")


class LakeReport(Report):
    """A Flink job has committed to an Iceberg table."""

    flink_job_id: str = Field(description="The Flink job that committed.")
    flink_job_url: str = Field(description="That job in Flink's own UI.")
    rows_read: Rows = Field(description="Rows that the step took in.")
    rows_written: Rows = Field(description="Rows that it wrote to the table.")
    rows_rejected: Rows = Field(description="Rows that broke a rule, and are kept apart with the reason.")
    duplicates: Rows = Field(description="Rows left out since another row of the same trip is kept.")
    rows_per_second: float = Field(description="Rows read by the seconds of the Flink job.")
    snapshot_id: int | str = Field(description="The Iceberg snapshot that the step committed or found.")
    row_count: Rows = Field(alias="dagster/row_count", description="The month's rows in the table.")
    column_schema: dg.TableSchema = Field(alias="dagster/column_schema", description="The table's columns.")
    table_name: str = Field(alias="dagster/table_name", description="The table's full name.")


class BronzeReport(LakeReport):
    """A Flink job has taken the topic's records in; topic and table were compared offset by offset."""

    rows_read: Rows = Field(description="Committed records of the topic since a step last reported.")
    rows_written: Rows = Field(description="Of them, rows in the table that are trips.")
    rows_undecodable: Rows = Field(description="Of them, rows that hold a record's bytes and why nobody can read it.")
    rows_in_quarantine: Rows = Field(description="All rows that `bronze.quarantine` shows.")
    records_missing: Rows = Field(description="Committed records without a row.")
    rows_repeated: Rows = Field(description="Rows beyond one for each record.")
    offset_gaps: int = Field(ge=0, description="Offsets that are no record: ends of transactions, and aborted events.")


class AuditReport(Report):
    """A month was counted anew."""

    records_read: int = Field(ge=0, description="Committed records that the topic holds.")
    records_audited: int = Field(ge=0, description="Of them, those of the month.")
    records_undecodable: int = Field(ge=0, description="Of them, those that nobody can decode.")
    rows_in_bronze: Rows = Field(description="The month's rows in bronze.")
    rows_in_silver: Rows = Field(description="The month's rows in silver.")
    rows_in_fct_trips: Rows = Field(description="The month's rows in the published fct_trips.")
    rows_rejected: Rows = Field(description="Events that break a rule, by the auditor's own judgement.")
    rows_undecodable: Rows = Field(description="Rows of bronze that hold a record that nobody can decode.")
    duplicates: Rows = Field(description="Rows of bronze that repeat an event or a trip.")
    total_amount_usd: str = Field(description="What silver's trips cost in all, exactly.")
    checks_failed: int = Field(ge=0, description="Checks that did not pass.")
    rows_per_second: float = Field(description="Records and rows read, some more than once, by the next two's seconds.")
    topic_s: float = Field(description="Seconds that reading the topic took.", json_schema_extra={"unit": "s"})
    tables_s: float = Field(description="Seconds that reading the tables took.", json_schema_extra={"unit": "s"})
    snapshots: dict[str, Any] = Field(description="The snapshots that were read, by table.")


class ExpiryReport(Report):
    """Old snapshots of the lake's tables are gone."""

    snapshots_before: int = Field(ge=0, description="Snapshots that the tables had.")
    snapshots_after: int = Field(ge=0, description="Snapshots that they have now.")
    files_deleted: int = Field(ge=0, description="Files that nothing referred to any more.")
    tables: dict[str, Any] = Field(description="The same by table.")


class NodeReport(Report):
    """dbt has built one seed or model."""

    execution_s: float = Field(description="Seconds that dbt took for the node.", json_schema_extra={"unit": "s"})
    rows_per_second: float = Field(description="Rows of the relation by these seconds.")
    row_count: Rows = Field(alias="dagster/row_count", description="Rows of the relation.")
    column_schema: dg.TableSchema = Field(alias="dagster/column_schema", description="The relation's columns.")
    column_lineage: dg.TableColumnLineage = Field(
        alias="dagster/column_lineage", description="What each column is made from."
    )
    dbt_status: str = Field(description="dbt's own word for the outcome.")
    dbt_unique_id: str = Field(description="dbt's name of the node.")


class PublicationReport(Report):
    """A mart is an Iceberg table."""

    execution_s: float = Field(description="Seconds that the table took.", json_schema_extra={"unit": "s"})
    rows_per_second: float = Field(description="The published months' rows, written or found equal, by these seconds.")
    rows_written: Rows = Field(description="Rows that were written; none if the table had them all.")
    rows_deleted: Rows = Field(description="Rows that were taken out for others.")
    snapshot_id: str = Field(description="The table's snapshot with these rows.")
    row_count: Rows = Field(alias="dagster/row_count", description="The published months' rows in the table.")
    table_name: str = Field(alias="dagster/table_name", description="The table's full name.")
    column_schema: dg.TableSchema = Field(alias="dagster/column_schema", description="The table's columns.")
    column_lineage: dg.TableColumnLineage = Field(
        alias="dagster/column_lineage", description="The mart's column that each one is."
    )


def promise_node(_node: Mapping[str, Any]) -> dict[str, Any]:
    """Give the promises of any of dbt's seeds and models as metadata."""
    return promises(NodeReport)
