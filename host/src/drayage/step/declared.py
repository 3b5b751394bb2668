"""Reads what a step's definitions declare: the tags of its assets, and what they promise to report."""

from collections.abc import Sequence

import dagster as dg

from drayage import dagster_internals
from drayage.dagster_internals import Context
from drayage.errors import SettingsError
from drayage.promise import Promise
from drayage.verdict.promises import read_promises


def declared_tags(context: Context) -> dict[str, str]:
    """Return the tags of the op and of its selected assets, which share one container.

    Args:
        context: Dagster's context of the executing step.

    Raises:
        SettingsError: The assets have different values of a tag that sets something of the container.
    """
    tags = dict(dagster_internals.op_tags(context))
    if context.has_assets_def:
        for spec in context.assets_def.specs:
            if spec.key in context.selected_asset_keys:
                for name in spec.tags:
                    if tags.setdefault(name, spec.tags[name]) != spec.tags[name] and name.startswith("drayage/"):
                        raise SettingsError(
                            f"The assets of this step have different values of the tag {name}: {tags[name]!r} and "
                            f"{spec.tags[name]!r}, but they share one container: give them the same value. Nothing "
                            "was started."
                        )
    return tags


def declared_promises(context: Context, reports: Sequence[dg.AssetKey] | None) -> dict[str, dict[str, Promise]]:
    """Return the promises of the assets that a call must report, by asset key as Pipes writes it.

    Args:
        context: Dagster's context of the executing step.
        reports: The assets that the call must report; None means all that are selected.
    """
    if not context.has_assets_def:
        return {}
    selected = context.selected_asset_keys
    wanted = set(selected) if reports is None else set(selected) & set(reports)
    return {
        spec.key.to_escaped_user_string(): read_promises(spec.metadata)
        for spec in context.assets_def.specs
        if spec.key in wanted
    }
