"""The Iceberg tables that Flink fills: bronze as received, silver cleaned."""

from typing import Any

import dagster as dg

from drayage import DrayageClient, promises
from nyc_taxi import month_checks, row_checks
from nyc_taxi.assets.kafka import TOPIC, VERSIONS_TOPIC
from nyc_taxi.keys import BRONZE, GENERATE_EVENTS, OWNERS, SILVER
from nyc_taxi.partitions import MONTHS
from nyc_taxi.provenance import tag_source
from nyc_taxi.reports import BronzeReport, SilverReport
from nyc_taxi.settings import DisplaySettings, Services
from nyc_taxi.workloads import Workload

# Two bronze steps at once would both begin at the offset where the table ends now.
BRONZE_POOL = "bronze"


def build_lake_assets(flink_submit: Workload, display: DisplaySettings) -> list[dg.AssetsDefinition]:
    """Define the assets that the flink_submit image makes.

    Args:
        flink_submit: The flink_submit workload.
        display: The addresses of the pages that the assets link.

    Returns:
        ``bronze/raw_trips`` and ``silver/cleaned_trips``.
    """

    def submit(
        context: dg.AssetExecutionContext, drayage: DrayageClient, services: Services, command: str
    ) -> dg.MaterializeResult[Any]:
        return drayage.run(
            context=context,
            image=flink_submit.image,
            command=[command],
            extras={"topic": TOPIC, "versions_topic": VERSIONS_TOPIC},
            # The checks are judged below, by the host.
            reports=[context.asset_key],
            env=flink_submit.environment(services),
            **flink_submit.settings(),
        ).get_materialize_result()

    @dg.asset(
        key=BRONZE,
        deps=[GENERATE_EVENTS],
        partitions_def=MONTHS,
        pool=BRONZE_POOL,
        group_name="lake",
        kinds={"flink", "iceberg", "sql"},
        owners=OWNERS,
        tags={"layer": "bronze"},
        code_version=flink_submit.image_id,
        metadata=promises(BronzeReport) | display.table_links(*BRONZE.path, from_flink=True),
        check_specs=[
            row_checks.complete_spec(BRONZE),
            row_checks.accounted_for_spec(BRONZE, row_checks.BRONZE_FATES),
            row_checks.decodable_spec(BRONZE),
        ],
        description=(
            "Every event of the topic as received, with its Kafka partition, offset and times, of every version of its "
            "month. A step loads all that is new in the topic, whatever its month, and each record exactly once. A "
            "record that cannot be decoded belongs to no month: the view `bronze.quarantine` shows its bytes and the "
            "reason."
        ),
    )
    def raw_trips(
        context: dg.AssetExecutionContext, drayage: DrayageClient, services: dg.ResourceParam[Services]
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows the bare class only
        result = submit(context, drayage, services, "bronze")
        return row_checks.with_checks(
            result,
            row_checks.check_complete(result),
            row_checks.check_accounted_for(result, row_checks.BRONZE_FATES),
            row_checks.check_decodable(result),
        )

    @dg.asset(
        key=SILVER,
        deps=[BRONZE],
        partitions_def=MONTHS,
        group_name="lake",
        kinds={"flink", "iceberg", "sql"},
        owners=OWNERS,
        tags={"layer": "silver"},
        code_version=flink_submit.image_id,
        metadata=promises(SilverReport) | display.table_links(*SILVER.path, from_flink=True),
        check_specs=[
            row_checks.accounted_for_spec(SILVER, row_checks.SILVER_FATES),
            month_checks.rejected_share_spec(SILVER),
            month_checks.vendors_spec(SILVER),
            month_checks.whole_cents_spec(SILVER),
        ],
        description=(
            "The valid trips of the month's current version, one row for each, with types, with units in the names, "
            "and without repeats: rows of other versions are superseded, and stay in bronze. Rows that break a rule "
            f"are in `silver.rejected_trips` with the reason. `{VERSIONS_TOPIC}` says which version is the current "
            "one. The month is replaced as a whole."
        ),
    )
    def cleaned_trips(
        context: dg.AssetExecutionContext, drayage: DrayageClient, services: dg.ResourceParam[Services]
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows the bare class only
        result = submit(context, drayage, services, "silver")
        tag_source(context, result)
        return row_checks.with_checks(
            result,
            row_checks.check_accounted_for(result, row_checks.SILVER_FATES),
            month_checks.check_rejected_share(result),
            month_checks.check_vendors(result),
            month_checks.check_whole_cents(result),
        )

    return [raw_trips, cleaned_trips]
