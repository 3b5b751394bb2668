"""The months that silver holds, read through the lake that dbt's profile attaches."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb

from dbt_runner.errors import CatalogError, MonthMissingError, what_helps
from dbt_runner.settings import Settings

MONTHS = "lake.silver.month_counts"
"""Has a row for each month that silver was materialized for, even if none of its trips is left."""

_PROFILE = "nyc_taxi"


@contextmanager
def open_silver(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Connect to the marts and the lake as dbt does, so that dbt finds the lake attached.

    Args:
        settings: The profile's folder; its variables must be in the environment (:meth:`Settings.export`).

    Yields:
        A connection to dbt's database, with the lake attached as ``lake``.

    Raises:
        CatalogError: DuckDB cannot attach the lake.
    """
    # Only `build` has dbt loaded, and only it needs the profile.
    from dbt.adapters.duckdb.credentials import DuckDBCredentials  # noqa: PLC0415
    from dbt.adapters.duckdb.environments import Environment  # noqa: PLC0415
    from dbt.clients.yaml_helper import load_yaml_text  # noqa: PLC0415
    from dbt.config.renderer import ProfileRenderer  # noqa: PLC0415
    from dbt_common.context import set_invocation_context  # noqa: PLC0415

    # The profile's variables are read from it.
    set_invocation_context(os.environ)
    profiles = load_yaml_text((settings.dbt_profiles_dir / "profiles.yml").read_text(encoding="utf-8"))
    profile = (profiles or {})[_PROFILE]
    output = ProfileRenderer({}).render_data(profile["outputs"][profile["target"]])
    try:
        connection = Environment.initialize_db(DuckDBCredentials.from_dict(output))
    except duckdb.OutOfMemoryException:
        # Explained where the marts are opened, whose memory it is.
        raise
    except duckdb.Error as error:
        raise CatalogError(
            f"DuckDB cannot attach the Iceberg catalog at {settings.iceberg_catalog_uri}: {error}. See the log of the "
            "service iceberg-rest and the setting ICEBERG_CATALOG_URI."
        ) from error
    with connection:
        yield connection


def require_months(connection: duckdb.DuckDBPyConnection, months: Sequence[str]) -> None:
    """Raise if silver has no version of some of the months: their marts would be empty or of mixed sources, and green.

    Args:
        connection: A connection with the lake attached as ``lake``.
        months: The months, such as ``2019-01``; none if the step has no month.

    Raises:
        MonthMissingError: Silver lacks some of the months, or made them before there were versions; the message names
            them.
        CatalogError: The table of silver's months cannot be read.
    """
    if not months:
        return
    listed = ", ".join(f"'{month}'" for month in months)
    try:
        # All columns: a table that no later silver step has migrated lacks the last ones.
        rows = connection.sql(f"select * from {MONTHS} where trip_month in ({listed})")  # noqa: S608  months are matched against a pattern
        versions = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
    except duckdb.CatalogException:
        versions = []
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        advice = what_helps(str(error), "Check that the catalog and the object store work, then materialize again.")
        raise CatalogError(f"DuckDB cannot read {MONTHS}, silver's months: {error}. {advice}") from error
    found = {row["trip_month"]: row.get("source_version") for row in versions}
    missing = [month for month in months if month not in found]
    if missing:
        raise MonthMissingError(
            f"Silver has no month {', '.join(missing)}; expected a row for each in {MONTHS}. Materialize "
            f"silver/cleaned_trips of {'it' if len(missing) == 1 else 'them'} first, then the marts."
        )
    unnamed = [month for month in months if found[month] is None]
    if unnamed:
        raise MonthMissingError(
            f"Silver made {', '.join(unnamed)} before months had versions: trips of a file and synthetic ones may be "
            f"mixed there. Expected a source_version in {MONTHS}. Materialize generate_events, bronze/raw_trips and "
            "silver/cleaned_trips of the same months first, then the marts."
        )
