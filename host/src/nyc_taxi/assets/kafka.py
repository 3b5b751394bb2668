"""The Kafka topic, and the month's trips in it."""

from typing import Any, Literal

import dagster as dg
from pydantic import Field

from drayage import DrayageClient, promises
from nyc_taxi import row_checks
from nyc_taxi.keys import GENERATE_EVENTS, KAFKA_TOPICS, OWNERS
from nyc_taxi.partitions import MONTHS
from nyc_taxi.provenance import file_of_month, tag_source
from nyc_taxi.reports import EventsReport, TopicsReport
from nyc_taxi.settings import Services
from nyc_taxi.workloads import Workload

TOPIC = "taxi.raw_trips"
VERSIONS_TOPIC = "taxi.month_versions"
TOPIC_PARTITIONS = 3


class GenerateConfig(dg.Config):
    """How the month's trips are sent."""

    source: Literal["file", "synthetic", "file_or_synthetic"] = Field(
        default="file_or_synthetic",
        description=(
            "The TLC's file in the landing zone, synthetic trips, or the file if there is one. Only 'synthetic' "
            "replaces the trips of a file by synthetic ones."
        ),
    )
    events: int = Field(default=10_000, gt=0, description="Trips to synthesise, if any are.")
    seed: int = Field(default=42, ge=0, description="The same seed produces the same trips and ids.")
    mode: Literal["burst", "batch", "realtime"] = Field(
        default="burst", description="All at once, in bursts with pauses, or at a steady rate."
    )
    batch_size: int = Field(default=1_000, gt=0, description="Events in a burst, in mode 'batch'.")
    pause_s: float = Field(default=1.0, ge=0, description="Seconds between bursts, in mode 'batch'.")
    events_per_second: float = Field(default=100.0, gt=0, description="The rate of mode 'realtime'.")


def build_kafka_assets(generator: Workload) -> list[dg.AssetsDefinition]:
    """Define the assets that the generator image makes.

    Args:
        generator: The generator workload.

    Returns:
        ``kafka_topics`` and ``generate_events``.
    """

    @dg.asset(
        key=KAFKA_TOPICS,
        group_name="kafka",
        kinds={"kafka"},
        owners=OWNERS,
        tags={"layer": "source"},
        code_version=generator.image_id,
        metadata=promises(TopicsReport),
        description=(
            f"The Kafka topic `{TOPIC}` with {TOPIC_PARTITIONS} partitions, and `{VERSIONS_TOPIC}`, which names the "
            "current version of each month; created if they do not exist."
        ),
    )
    def kafka_topics(
        context: dg.AssetExecutionContext, drayage: DrayageClient, services: dg.ResourceParam[Services]
    ) -> dg.MaterializeResult[Any]:
        return drayage.run(
            context=context,
            image=generator.image,
            command=["topics"],
            extras={"topic": TOPIC, "partitions": TOPIC_PARTITIONS, "versions_topic": VERSIONS_TOPIC},
            env=generator.environment(services),
            **generator.settings(),
        ).get_materialize_result()

    @dg.asset(
        key=GENERATE_EVENTS,
        deps=[KAFKA_TOPICS],
        partitions_def=MONTHS,
        group_name="kafka",
        kinds={"kafka", "avro", "python"},
        owners=OWNERS,
        tags={"layer": "source"},
        code_version=generator.image_id,
        metadata=promises(EventsReport),
        check_specs=[row_checks.committed_spec(GENERATE_EVENTS), row_checks.unknown_columns_spec(GENERATE_EVENTS)],
        description=(
            "A version of the month's taxi trips as Avro events in Kafka: from the TLC's file in the landing zone, or "
            "synthetic. Once all of it is committed it is the month's current version, of which silver is made. The "
            "same version sent again changes nothing in silver, which drops the repeats."
        ),
    )
    def generate_events(
        context: dg.AssetExecutionContext,
        config: GenerateConfig,
        drayage: DrayageClient,
        services: dg.ResourceParam[Services],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows the bare class only
        result = drayage.run(
            context=context,
            image=generator.image,
            command=["produce"],
            extras={
                "topic": TOPIC,
                "versions_topic": VERSIONS_TOPIC,
                **config.model_dump(),
                "file_before": file_of_month(context.instance, context.partition_key),
            },
            # Its checks are judged below, by the host.
            reports=[GENERATE_EVENTS],
            env=generator.environment(services),
            **generator.settings(),
        ).get_materialize_result()
        tag_source(context, result)
        return row_checks.with_checks(
            result, row_checks.check_committed(result), row_checks.check_unknown_columns(result)
        )

    return [kafka_topics, generate_events]
