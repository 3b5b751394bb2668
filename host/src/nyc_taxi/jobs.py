"""The jobs: one for the whole pipeline, and one for each of its steps."""

import dagster as dg

from nyc_taxi.assets.maintenance import MAINTENANCE_GROUP
from nyc_taxi.keys import AUDIT, BRONZE, GENERATE_EVENTS, KAFKA_TOPICS, SILVER, THROUGHPUT

_PIPELINE = dg.AssetSelection.all() - dg.AssetSelection.groups(MAINTENANCE_GROUP)
# "Downstream of silver" would leave out the seeds, which depend on nothing.
_MARTS = _PIPELINE - dg.AssetSelection.assets(KAFKA_TOPICS, GENERATE_EVENTS, BRONZE, SILVER, AUDIT, THROUGHPUT)

TAXI_PIPELINE = dg.define_asset_job(
    "taxi_pipeline",
    selection=_PIPELINE,
    description="A month of taxi trips from the generator to the published marts, and their audit.",
)

FROM_FILE = {"ops": {GENERATE_EVENTS.to_python_identifier(): {"config": {"source": "file"}}}}
"""The run config for a month whose file must be there."""

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
        description="Loads what is new in Kafka into bronze, and a month of it into silver.",
    ),
    dg.define_asset_job(
        "build_marts",
        selection=_MARTS,
        description="Builds, tests and publishes the marts of a month from silver.",
    ),
    dg.define_asset_job(
        "audit_month",
        selection=dg.AssetSelection.assets(AUDIT),
        description="Counts a month again, from the topic to the published marts, and confirms what was reported.",
    ),
    dg.define_asset_job(
        "compare_throughput",
        selection=dg.AssetSelection.assets(THROUGHPUT),
        description="Compares the rates of the last runs.",
    ),
    dg.define_asset_job(
        "expire_snapshots",
        selection=dg.AssetSelection.groups(MAINTENANCE_GROUP),
        description="Expires old snapshots of the lake's tables.",
    ),
]
