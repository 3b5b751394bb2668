"""Every dbt seed and model, and the finished marts as Iceberg tables: two steps with many assets."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from drayage import DrayageClient, Mount, promises
from nyc_taxi.dbt_manifest import DbtProject, Publication
from nyc_taxi.freshness import FRESH_EACH_MONTH
from nyc_taxi.keys import OWNERS, SILVER, published_key
from nyc_taxi.partitions import MONTHS
from nyc_taxi.reports import PublicationReport
from nyc_taxi.settings import DisplaySettings, Services
from nyc_taxi.workloads import MARTS_FOLDER, Workload

# While a process has a DuckDB file open for writing, no other can open it, even to read.
DUCKDB_POOL = "duckdb"

PUBLISHED_CHECK = "published_rows_are_the_marts"

FOLLOW_SILVER = dg.AutomationCondition.any_deps_updated().since_last_handled()
"""Requests a month as soon as one of its dependencies is updated; the sensor that evaluates it is off by default."""

# Several months at once are the work of one container, not of one for each month.
_RANGE = dg.BackfillPolicy.single_run()


def build_marts(dbt_runner: Workload, project: DbtProject, display: DisplaySettings) -> list[dg.AssetsDefinition]:
    """Define the assets that the dbt_runner image makes.

    Args:
        dbt_runner: The dbt_runner workload.
        project: The nodes of the image's dbt project.
        display: The addresses of the pages that the tables link.

    Returns:
        A definition with every seed and model, and one with every published table.
    """
    published = [_publication_spec(publication, display) for publication in project.publications]
    specs = _following_silver([*project.specs, *published])
    models = {spec.key for spec in project.specs}
    # With the sources: dbt only reads them, but the lineage of columns leads to them.
    keys = {**project.asset_keys, **project.source_keys}

    def run(
        context: dg.AssetExecutionContext,
        drayage: DrayageClient,
        services: Services,
        command: str,
        extras: dict[str, Any],
        *,
        read_only: bool,
    ) -> Iterator[dg.PipesExecutionResult]:
        return drayage.stream(
            context=context,
            image=dbt_runner.image,
            image_id=dbt_runner.image_id,
            command=[command],
            extras=extras,
            env=dbt_runner.environment(services),
            **dbt_runner.settings(
                Mount(services.taxi_marts_volume, MARTS_FOLDER, read_only=read_only, kind="volume"),
            ),
        )

    @dg.multi_asset(
        name="dbt_build",
        specs=[spec for spec in specs if spec.key in models],
        check_specs=project.check_specs,
        can_subset=True,
        partitions_def=MONTHS,
        backfill_policy=_RANGE,
        pool=DUCKDB_POOL,
        description="`dbt build` of the selected seeds and models with their tests, for the run's months of silver.",
    )
    def dbt_build(
        context: dg.AssetExecutionContext, drayage: DrayageClient, services: dg.ResourceParam[Services]
    ) -> Iterator[dg.PipesExecutionResult]:
        extras = {
            "select": select_nodes(context, project) if context.is_subset else [],
            "asset_keys": {name: key.to_user_string() for name, key in keys.items()},
            "vars": {},
        }
        yield from run(context, drayage, services, "build", extras, read_only=False)

    @dg.multi_asset(
        name="publish_marts",
        specs=[spec for spec in specs if spec.key not in models],
        check_specs=[
            dg.AssetCheckSpec(
                PUBLISHED_CHECK,
                asset=published_key(publication.mart),
                blocking=True,
                description="Read back after the commit, the table holds the rows of its mart and no others.",
            )
            for publication in project.publications
        ],
        can_subset=True,
        partitions_def=MONTHS,
        backfill_policy=_RANGE,
        pool=DUCKDB_POOL,
        description="The finished marts as Iceberg tables: one catalog commit each, and none if no row has changed.",
    )
    def publish_marts(
        context: dg.AssetExecutionContext, drayage: DrayageClient, services: dg.ResourceParam[Services]
    ) -> Iterator[dg.PipesExecutionResult]:
        extras = {
            "tables": {
                published_key(publication.mart).to_user_string(): {
                    "relation": ".".join(publication.mart.path),
                    "by_month": publication.by_month,
                    "columns": publication.columns,
                }
                for publication in project.publications
            }
        }
        yield from run(context, drayage, services, "publish", extras, read_only=True)

    return [dbt_build, publish_marts]


def select_nodes(context: dg.AssetExecutionContext, project: DbtProject) -> list[str]:
    """Return the dbt nodes that a run of some of the assets selects.

    Args:
        context: Dagster's context of the step.
        project: The nodes of the dbt project.

    Returns:
        dbt's unique ids of the selected seeds, models and tests, sorted.
    """
    assets, checks = context.selected_asset_keys, context.selected_asset_check_keys
    return sorted(
        [name for name, key in project.asset_keys.items() if key in assets]
        + [name for name, key in project.check_keys.items() if key in checks]
    )


def _publication_spec(publication: Publication, display: DisplaySettings) -> dg.AssetSpec:
    mart, key = publication.mart, published_key(publication.mart)
    return dg.AssetSpec(
        key=key,
        deps=[mart],
        description=f"{publication.description.strip()} This is the Iceberg table of {mart.to_user_string()}.",
        group_name="published",
        kinds={"iceberg", "duckdb"},
        tags={"layer": "published"},
        owners=OWNERS,
        # The table is a copy of its mart, whatever the image.
        code_version="1",
        metadata=promises(PublicationReport) | display.table_links(*key.path),
        freshness_policy=FRESH_EACH_MONTH if publication.by_month else None,
    )


def _following_silver(specs: list[dg.AssetSpec]) -> list[dg.AssetSpec]:
    """Let every asset downstream of silver follow it."""
    following: set[dg.AssetKey] = {SILVER}
    while more := {
        spec.key for spec in specs if spec.key not in following and any(dep.asset_key in following for dep in spec.deps)
    }:
        following |= more
    return [
        spec.replace_attributes(automation_condition=FOLLOW_SILVER) if spec.key in following else spec for spec in specs
    ]
