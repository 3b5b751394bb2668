"""The shapes that are compared; Airflow's and Dagster's definitions read them, so that this imports nothing."""

IMAGE = "debian:trixie-slim"
AT_ONCE = 20

# Names of the steps, in their order; each step of a chain follows the one before it, those of a fan-out follow nothing.
SHAPES = {
    "chain_of_5": [f"chain_{number}" for number in range(5)],
    "fan_of_20": [f"small_fan_{number}" for number in range(20)],
    "fan_of_200": [f"large_fan_{number}" for number in range(200)],
}


def is_chain(shape: str) -> bool:
    """Say whether each step of a shape follows the one before it."""
    return shape.startswith("chain")


def number_of(step: str) -> int:
    """Return the number that a step's container reports: another one for each step of a shape."""
    return 1000 + int(step.rpartition("_")[2])
