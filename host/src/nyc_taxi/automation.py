"""The schedule and the sensors that start runs: all are off until they are switched on in the UI, under Automation."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from nyc_taxi.jobs import TAXI_PIPELINE
from nyc_taxi.keys import SILVER
from nyc_taxi.months import MonthError, require_month
from nyc_taxi.settings import Services

FILE_INTERVAL_S = 30
_FILE = re.compile(r"yellow_tripdata_(?P<month>\d{4}-\d{2})\.(parquet|csv)")

NEWEST_MONTH = dg.build_schedule_from_partitioned_job(
    TAXI_PIPELINE,
    name="newest_month",
    description="Runs the whole pipeline for the month that has just ended, on the first of the next at 06:00 UTC.",
    hour_of_day=6,
    default_status=dg.DefaultScheduleStatus.STOPPED,
)

MARTS_FOLLOW_SILVER = dg.AutomationConditionSensorDefinition(
    "marts_follow_silver",
    target=dg.AssetSelection.assets(SILVER).downstream(include_self=False),
    description="Builds and publishes the marts of each month whose silver was just materialized.",
    default_status=dg.DefaultSensorStatus.STOPPED,
)


@dg.sensor(
    job=TAXI_PIPELINE,
    minimum_interval_seconds=FILE_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=(
        "Runs the whole pipeline for each monthly file in the data folder that is new or has changed, as soon as two "
        "evaluations have found the same file."
    ),
)
def new_monthly_file(
    context: dg.SensorEvaluationContext, services: dg.ResourceParam[Services]
) -> dg.SensorResult | dg.SkipReason:
    """Request a run of every month whose file is new or has changed.

    Args:
        context: Dagster's context of the sensor; its cursor holds each file's version at the last evaluation.
        services: The services' settings.

    Returns:
        The runs to start, or why none can be.
    """
    folder = services.taxi_data_dir
    if not folder.is_dir():
        return dg.SkipReason(
            f"The data folder {folder} does not exist, or the code server cannot see it: start the stack with "
            "DATA=folder."
        )
    before: dict[str, str] = json.loads(context.cursor or "{}")
    files = list(_monthly_files(folder))
    found = {path.name: _version(path) for path, _month in files}
    requests = [
        # Dagster drops a request whose run key it has seen, so each version of a file is requested once.
        dg.RunRequest(run_key=f"{path.name} {found[path.name]}", partition_key=month, tags={"taxi/file": path.name})
        for path, month in files
        # A file that is still being copied grows, and half a file would be a wrong month.
        if before.get(path.name) == found[path.name]
    ]
    return dg.SensorResult(run_requests=requests, cursor=json.dumps(found))


def _monthly_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folder's monthly files, each with its month, for the months that have a partition."""
    for path in sorted(folder.iterdir()):
        named = _FILE.fullmatch(path.name)
        if named is None or not path.is_file():
            continue
        try:
            yield path, require_month(named["month"])
        except MonthError:
            continue


def _version(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} bytes of {status.st_mtime_ns}"
