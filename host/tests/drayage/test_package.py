"""The package's public names, and a command line that starts without Dagster."""

import subprocess
import sys

import drayage

PUBLIC = {
    "BuildError",
    "ClientSettings",
    "ContainerWorkload",
    "DrayageClient",
    "DrayageError",
    "DrayageInvocation",
    "EngineError",
    "EnvSecret",
    "ExchangeError",
    "FileSecret",
    "Finding",
    "Mount",
    "PromiseError",
    "SettingsError",
    "StandbyRunLauncher",
    "StateBackedDefinitionsLoader",
    "StepSettings",
    "SweepLimits",
    "SweepReport",
    "Sweeper",
    "build_sweeper_sensor",
    "container_executor",
    "examine",
    "partition_range",
    "promises",
    "provenance_tags",
    "read_image_file",
    "read_image_id",
}


def test_every_public_name_is_there() -> None:
    """Users import these: one that is gone, or was never meant to be public, is noticed here."""
    assert set(drayage.__all__) == PUBLIC
    assert [getattr(drayage, name).__name__ for name in drayage.__all__] == drayage.__all__
    assert set(drayage.__all__) <= set(dir(drayage))


def test_the_conformance_kit_is_imported_from_its_package() -> None:
    from drayage.conform import SCENARIOS, Bench, Report, Scenario  # noqa: PLC0415 - what is tested

    assert all(isinstance(scenario, Scenario) for scenario in SCENARIOS)
    assert (Bench.__name__, Report.__name__) == ("Bench", "Report")


def test_the_command_line_starts_without_dagster_and_without_dockers_client() -> None:
    """Importing Dagster takes seconds, Docker's client two tenths of one, and most commands need neither."""
    code = "import sys, drayage.cli.app; print({'dagster', 'docker'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "set()"
