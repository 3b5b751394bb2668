"""The jobs: the whole pipeline, and each of its steps for whoever wants just one."""

import dagster as dg

from nyc_taxi.assets.maintenance import MAINTENANCE_GROUP
from nyc_taxi.keys import AUDIT, BRONZE, GENERATE_EVENTS, KAFKA_TOPICS, SILVER, THROUGHPUT

_PIPELINE = dg.AssetSelection.all() - dg.AssetSelection.groups(MAINTENANCE_GROUP)
# Seeds are upstream of nothing that Flink makes, so that "downstream of silver" would leave them out.
_MARTS = _PIPELINE - dg.AssetSelection.assets(KAFKA_TOPICS, GENERATE_EVENTS, BRONZE, SILVER, AUDIT, THROUGHPUT)

TAXI_PIPELINE = dg.define_asset_job(
    "taxi_pipeline",
    selection=_PIPELINE,
    description="A month of taxi trips from the generator to the published marts, and their audit.",
)

JOBS = [
    TAXI_PIPELINE,
    dg.define_asset_job(
        "create_topics",
        selection=dg.AssetSelection.assets(KAFKA_TOPICS),
        description="Creates the Kafka topic of the trips.",
    ),
    dg.define_asset_job(
        "generate",
        selection=dg.AssetSelection.assets(GENERATE_EVENTS),
        description="Sends a month of trips to Kafka.",
    ),
    dg.define_asset_job(
        "process",
        selection=dg.AssetSelection.assets(BRONZE, SILVER),
        description="Takes what is new in Kafka into bronze, and a month of it into silver.",
    ),
    dg.define_asset_job(
        "build_marts",
        selection=_MARTS,
        description="Builds, tests and publishes the marts of a month from silver.",
    ),
    dg.define_asset_job(
        "audit_month",
        selection=dg.AssetSelection.assets(AUDIT),
        description="Counts a month anew, from the topic to the published marts, and confirms what was reported.",
    ),
    dg.define_asset_job(
        "compare_throughput",
        selection=dg.AssetSelection.assets(THROUGHPUT),
        description="Puts the rates of the last runs side by side.",
    ),
    dg.define_asset_job(
        "expire_snapshots",
        selection=dg.AssetSelection.groups(MAINTENANCE_GROUP),
        description="Expires old snapshots of the lake's tables.",
    ),
]
