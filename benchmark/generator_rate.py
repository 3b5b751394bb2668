"""Compares the generator with librdkafka sending encoded messages, side by side in one container of its image."""

import json
import statistics
from pathlib import Path
from typing import Any

from running_stack import BenchmarkError, RunningStack

IMAGE = "drayage/generator"
_SCRIPT = Path(__file__).with_name("generator_in_image.py")
_LOG_LINES = 20


def measure_generator(stack: RunningStack, events: int, rounds: int) -> dict[str, Any]:
    """Send events in each of the three ways, in alternation, to a temporary topic.

    Args:
        stack: The running stack.
        events: Number of events that each way sends in a round.
        rounds: Number of rounds.

    Returns:
        Events per second of each way (every round, and the median), and each median relative to librdkafka's.

    Raises:
        BenchmarkError: The container failed.
    """
    made = stack.engine.containers.create(
        IMAGE,
        ["-c", _SCRIPT.read_text(encoding="utf-8"), str(events), str(rounds)],
        entrypoint=["python"],
        environment={"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"},
        network=stack.project,
        init=True,
    )
    try:
        made.start()
        exit_code = made.wait()["StatusCode"]
        if exit_code != 0:
            log = made.logs(tail=_LOG_LINES).decode(errors="replace")
            raise BenchmarkError(f"The comparison of the generator ended with code {exit_code}:\n{log}")
        rates: dict[str, list[float]] = json.loads(made.logs(stderr=False))
    finally:
        made.remove(force=True, v=True)
    medians = {way: statistics.median(of_way) for way, of_way in rates.items()}
    return {
        "events": events,
        "rates": rates,
        "median": medians,
        "to_librdkafka": {way: round(median / medians["librdkafka"], 2) for way, median in medians.items()},
    }
