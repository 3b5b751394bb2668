"""Reads the tags that a step's definitions declare."""

from drayage import dagster_internals
from drayage.dagster_internals import Context
from drayage.errors import SettingsError


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
