"""The image's commands: ``bronze``, ``silver`` and ``expire``, each one step of the pipeline."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from types import FrameType

from dagster_pipes import PipesContext, PipesEnvVarParamsLoader, open_dagster_pipes

from flink_submit import bronze, silver
from flink_submit.errors import FlinkSubmitError, SettingsError, StepCancelledError
from flink_submit.expiry import expire
from flink_submit.job_runner import open_job_runner
from flink_submit.lake import Lake
from flink_submit.month_versions import CurrentVersion, read_current_version
from flink_submit.preflight import check_services
from flink_submit.report import StepReport
from flink_submit.settings import (
    BronzeSettings,
    ExpireExtras,
    LakeSettings,
    SilverSettings,
    TopicExtras,
    load_settings,
    parse_extras,
    parse_month,
)
from flink_submit.topic import Topic


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step inside a Dagster Pipes session.

    Args:
        arguments: Command line without the program's name; the process's own by default.

    Returns:
        The exit code: 0 on success, otherwise that of the error.
    """
    parser = argparse.ArgumentParser(prog="flink-submit", description=__doc__)
    parser.add_argument("command", choices=["bronze", "silver", "expire"])
    command = parser.parse_args(arguments).command
    signal.signal(signal.SIGTERM, _cancel_step)
    signal.signal(signal.SIGINT, _cancel_step)
    try:
        params = PipesEnvVarParamsLoader()  # type: ignore[no-untyped-call]  # not annotated
        if not params.is_dagster_pipes_process():
            raise SettingsError(
                "The environment has no Dagster Pipes parameters. Start this image through the host's DrayageClient."
            )
        with open_dagster_pipes() as context:
            _run(command, context)
    except FlinkSubmitError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    return 0


def _run(command: str, context: PipesContext) -> None:
    if command == "expire":
        _run_expire(context)
        return
    month = parse_month(context.partition_key if context.is_partition_step else None)
    if command == "bronze":
        _run_bronze(context, month)
    else:
        _run_silver(context, month)


def _run_bronze(context: PipesContext, month: str) -> None:
    settings = load_settings(BronzeSettings)
    topic = Topic(settings.kafka_bootstrap_servers, parse_extras(TopicExtras, context.extras).topic)
    report = StepReport(context, settings.flink_ui_url)
    check_services(settings)
    with open_job_runner(settings, report) as runner:
        lake = Lake.connect(settings)
        result = bronze.ingest(month, settings=settings, topic=topic, lake=lake, runner=runner, report=report)
        report.materialize(result)


def _run_silver(context: PipesContext, month: str) -> None:
    settings = load_settings(SilverSettings)
    extras = parse_extras(TopicExtras, context.extras)
    report = StepReport(context, settings.flink_ui_url)
    check_services(settings)
    versions = Topic(settings.kafka_bootstrap_servers, extras.versions_topic)

    def read_version() -> CurrentVersion:
        return read_current_version(versions, month, report.waiting_for_transactions)

    version = read_version()  # raises if the month has none, before anything waits for Flink
    with open_job_runner(settings, report) as runner:
        lake = Lake.connect(settings)
        result = silver.clean(version, read_version, topic_name=extras.topic, lake=lake, runner=runner, report=report)
        report.materialize(result)


def _run_expire(context: PipesContext) -> None:
    settings = load_settings(LakeSettings)
    extras = parse_extras(ExpireExtras, context.extras)
    report = StepReport(context, settings.flink_ui_url)
    done = expire(
        Lake.connect(settings),
        older_than=datetime.now(UTC) - timedelta(days=extras.older_than_days),
        keep={int(snapshot_id) for snapshot_id in extras.keep_snapshots},
        report=report,
    )
    report.expired({name: asdict(table) for name, table in done.items()})


def _cancel_step(number: int, _frame: FrameType | None) -> None:
    # A second signal must not interrupt the cancellation of the Flink job.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise StepCancelledError(
        f"The step was told to stop ({signal.Signals(number).name}); its Flink job is cancelled too."
    )


if __name__ == "__main__":
    sys.exit(main())
