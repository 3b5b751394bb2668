"""The NYC taxi pipeline: the code location that Dagster loads."""
