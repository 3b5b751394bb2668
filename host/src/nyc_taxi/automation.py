"""The schedule and the sensors that start runs: all are off until they are switched on in the UI, under Automation."""

import json

import dagster as dg

from nyc_taxi.jobs import FROM_FILE, TAXI_PIPELINE
from nyc_taxi.keys import SILVER
from nyc_taxi.landing.names import why_refused
from nyc_taxi.months import last_month
from nyc_taxi.settings import Services, load_landing_keys

FILE_INTERVAL_S = 30

MARTS_FOLLOW_SILVER = dg.AutomationConditionSensorDefinition(
    "marts_follow_silver",
    target=dg.AssetSelection.assets(SILVER).downstream(include_self=False),
    description="Builds and publishes the marts of each month whose silver was just materialized.",
    default_status=dg.DefaultSensorStatus.STOPPED,
)


@dg.schedule(
    job=TAXI_PIPELINE,
    cron_schedule="0 6 1 * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description=(
        "Runs the whole pipeline for the file of the month that has just ended, on the first of the next at 06:00 UTC."
    ),
)
def newest_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Request a run of the month that has just ended.

    Args:
        context: Dagster's context of the schedule.

    Returns:
        The run to start; it is red if the month has no file.
    """
    return dg.RunRequest(partition_key=last_month(context.scheduled_execution_time), run_config=FROM_FILE)


@dg.sensor(
    job=TAXI_PIPELINE,
    minimum_interval_seconds=FILE_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Runs the whole pipeline for each month whose file in the landing zone is new or was landed again.",
)
def new_monthly_file(context: dg.SensorEvaluationContext, services: dg.ResourceParam[Services]) -> dg.SensorResult:
    """Request a run of every month whose file is new or was landed again.

    Args:
        context: Dagster's context of the sensor; its cursor holds each month's file and version at the last one.
        services: The services' settings.

    Returns:
        The runs to start, or why there are none.

    Raises:
        ZoneError: The landing zone cannot be read.
        SettingsError: The keys to read it are missing from the environment.
    """
    before: dict[str, str] = json.loads(context.cursor or "{}")
    found, odd = _look(services)
    requests = [
        # Dagster drops a request whose run key it has seen.
        dg.RunRequest(run_key=f"{name} {version}", partition_key=month, run_config=FROM_FILE, tags={"taxi/file": name})
        for month, (name, version) in found.items()
        if before.get(month) != f"{name} {version}"
    ]
    for each in odd:
        context.log.warning(each)
    reason = None if requests else " ".join([f"{len(found)} months have a file, and none is new.", *odd])
    cursor = {month: f"{name} {version}" for month, (name, version) in found.items()}
    return dg.SensorResult(run_requests=requests, skip_reason=reason, cursor=json.dumps(cursor))


def _look(services: Services) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return name and version of the file that a run of each month reads, and a sentence about each odd name."""
    # Imported here: the S3 client takes a third of a second, for which every run would wait.
    from nyc_taxi.landing.zone import Access, LandingZone, current_files  # noqa: PLC0415

    keys = load_landing_keys()
    access = Access(
        endpoint=services.s3_endpoint,
        region=services.s3_region,
        url=services.landing_url,
        key_id=keys.landing_access_key_id,
        secret=keys.landing_secret_access_key.get_secret_value(),
    )
    objects = LandingZone(access).objects()
    found = {month: (each.name, each.version) for month, each in current_files(objects).items()}
    odd = [f"{services.landing_url}{each.name}: {why}" for each in objects if (why := why_refused(each.name))]
    return found, odd
