"""The numbers of each asset in Dagster's event log, as its plots should show them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from stack import Stack

# The UI plots this many of the newest partitions.
_PLOTTED_PARTITIONS = 120
_EVENTS = """
query Events($assets: [AssetKeyInput!]) {
  assetNodes(assetKeys: $assets) {
    assetKey { path }
    partitionKeys
    assetMaterializations(limit: 1000) {
      partition
      metadataEntries {
        label
        ... on IntMetadataEntry { intValue }
        ... on FloatMetadataEntry { floatValue }
      }
    }
  }
}
"""


@dataclass(frozen=True)
class Logged:
    """The values of one label of one asset in the log.

    Args:
        values: The latest value of each partition, by its position on the plot's axis; for an asset without
            partitions, all values by age.
        partitioned: Whether the asset has partitions.
    """

    values: Mapping[int, str]
    partitioned: bool


def logged_numbers(stack: Stack, labels: Collection[str], *assets: str) -> dict[str, dict[str, Logged]]:
    """Read the log.

    Args:
        stack: The stack whose log is read.
        labels: The labels to read.
        assets: The assets to read; all by default.

    Returns:
        The values by asset and label, without assets or labels that have none.
    """
    numbers: dict[str, dict[str, Logged]] = {}
    keys = [{"path": asset.split("/")} for asset in assets] or None
    for node in stack.query(_EVENTS, assets=keys)["assetNodes"]:
        positions = {key: place for place, key in enumerate(node["partitionKeys"][-_PLOTTED_PARTITIONS:])}
        values: dict[str, dict[int, str]] = {}
        seen = set()
        for age, event in enumerate(node["assetMaterializations"]):
            place = positions.get(event["partition"]) if positions else age
            if place is None or place in seen:
                continue
            seen.add(place)
            for entry in event["metadataEntries"]:
                value = entry.get("intValue", entry.get("floatValue"))
                if entry["label"] in labels and value is not None:
                    values.setdefault(entry["label"], {})[place] = written(value)
        if values:
            asset = "/".join(node["assetKey"]["path"])
            numbers[asset] = {label: Logged(found, bool(positions)) for label, found in values.items()}
    return numbers


def written(number: float) -> str:
    """Return a number as the UI's tooltips write it: with commas, and at most three decimals."""
    return f"{number:,.3f}".rstrip("0").rstrip(".")
