"""Every dbt seed and model: one step, one asset each."""

from collections.abc import Iterator

import dagster as dg

from drayage import DrayageClient, Mount
from nyc_taxi.dbt_manifest import DbtProject
from nyc_taxi.partitions import MONTHS
from nyc_taxi.settings import Services
from nyc_taxi.workloads import MARTS_FOLDER, Workload

# One process at a time can write a DuckDB file.
DUCKDB_POOL = "duckdb"


def build_marts(dbt_runner: Workload, project: DbtProject) -> dg.AssetsDefinition:
    """Define the assets that the dbt_runner image makes.

    Args:
        dbt_runner: The dbt_runner workload.
        project: What the image's manifest holds.

    Returns:
        One definition with every seed and model.
    """

    @dg.multi_asset(
        name="dbt_build",
        specs=project.specs,
        check_specs=project.check_specs,
        can_subset=True,
        partitions_def=MONTHS,
        pool=DUCKDB_POOL,
        description="`dbt build` of the selected seeds and models with their tests, for one month of silver.",
    )
    def dbt_build(
        context: dg.AssetExecutionContext, drayage: DrayageClient, services: dg.ResourceParam[Services]
    ) -> Iterator[dg.PipesExecutionResult]:
        yield from drayage.stream(
            context=context,
            image=dbt_runner.image,
            command=["build"],
            extras={
                "select": select_nodes(context, project) if context.is_subset else [],
                "asset_keys": {name: key.to_user_string() for name, key in project.asset_keys.items()},
                "vars": {},
            },
            env=dbt_runner.environment(services),
            **dbt_runner.settings(
                Mount(services.taxi_marts_volume, MARTS_FOLDER, read_only=False, kind="volume"),
            ),
        )

    return dbt_build


def select_nodes(context: dg.AssetExecutionContext, project: DbtProject) -> list[str]:
    """Tell which of dbt's nodes a run of a part of the assets is about.

    Returns:
        dbt's unique ids of the selected seeds, models and tests, sorted.
    """
    assets, checks = context.selected_asset_keys, context.selected_asset_check_keys
    return sorted(
        [name for name, key in project.asset_keys.items() if key in assets]
        + [name for name, key in project.check_keys.items() if key in checks]
    )
