"""Selects assets of a job by key, group or step."""

from collections.abc import Sequence

from nyc_taxi.launch.errors import RequestRefusedError
from nyc_taxi.launch.webserver import JobAsset


def select_assets(assets: Sequence[JobAsset], wanted: Sequence[str]) -> list[JobAsset]:
    """Select assets by key, by group, or by the step that makes them.

    Args:
        assets: The job's assets.
        wanted: Keys such as ``silver/cleaned_trips``, groups such as ``lake``, steps such as ``dbt_build``.

    Returns:
        The assets that any of these names, in the job's order.

    Raises:
        RequestRefusedError: One of these names no asset of the job.
    """
    for item in wanted:
        if not any(_names(asset, item) for asset in assets):
            groups = sorted({asset.group for asset in assets})
            steps = sorted({step.replace("__", "/") for asset in assets for step in asset.steps})
            raise RequestRefusedError(
                f"The pipeline has no asset, group or step '{item}'. Steps: {', '.join(steps)}. "
                f"Groups: {', '.join(groups)}. The UI lists every asset."
            )
    return [asset for asset in assets if any(_names(asset, item) for item in wanted)]


def _names(asset: JobAsset, item: str) -> bool:
    return item in (asset.key, asset.group, *asset.steps)
