"""How people read where a month's trips come from. Nothing here imports Dagster: the launcher starts at once."""

SYNTHETIC = "synthetic"
"""The ``source`` of trips that were made up; that of a file is ``tlc_file``."""


def describe_source(source: str, source_name: str) -> str:
    """Name a month's source, a synthetic one in capitals: nobody may take it for the TLC's trips.

    Args:
        source: ``tlc_file`` or ``synthetic``, as the steps report it.
        source_name: The file's name, or such as ``synthetic, seed 42, 10000 events``.

    Returns:
        The file's name, or such as ``SYNTHETIC, seed 42, 10000 events``.
    """
    if source != SYNTHETIC:
        return source_name
    return SYNTHETIC.upper() + source_name.removeprefix(SYNTHETIC)
