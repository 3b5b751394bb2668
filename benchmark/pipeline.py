"""Times the pipeline on the running stack, side by side with the old way and with its bare steps: ``make benchmark``.

Each run gets a month that was never run. The ways take turns, so that a busy moment affects all of them. Compare their
ratios, not the seconds of different machines or days. Reading order: this module, then ``running_stack``,
``dagster_way``, ``bare_steps``, ``old_way``, ``generator_rate`` and ``report``.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import bare_steps
import dagster_way
import old_way
from generator_rate import measure_generator
from report import as_markdown, write_results
from running_stack import BenchmarkError, RunningStack, describe_machine

GENERATOR_ROUNDS = 3


def main() -> None:
    """Run the benchmark, and print its tables and the path of its result."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--environment-file", type=Path, default=Path(".env"), help="the file that `make up` wrote")
    arguments.add_argument("--events", type=int, default=10_000, help="trips in each month of the comparison")
    arguments.add_argument("--runs", type=int, default=3, help="number of months through Dagster, and of bare months")
    arguments.add_argument(
        "--old-runs", type=int, default=1, help="number of months the old way, each more than a minute long"
    )
    arguments.add_argument(
        "--sizes", type=int, nargs="*", default=[], help="further numbers of trips, one month through Dagster each"
    )
    arguments.add_argument(
        "--rate-events", type=int, default=500_000, help="events in the generator's comparison; 0 skips it"
    )
    options = arguments.parse_args()
    if options.runs < 1:
        arguments.error(
            f"--runs must be at least 1, got {options.runs}: the other ways start the containers of such a run again"
        )
    result: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "machine": describe_machine(), "runs": []}
    try:
        measure(RunningStack.read(options.environment_file), options, result)
    except BenchmarkError as error:
        sys.exit(str(error))
    finally:
        # After a failure too: what was measured before it took minutes.
        if result["runs"]:
            path = write_results(result)
            print(f"\n{as_markdown(result)}\n\n{path}")


def measure(stack: RunningStack, options: argparse.Namespace, result: dict[str, Any]) -> None:
    """Run everything that is asked for.

    Args:
        stack: The running stack.
        options: The command line's options.
        result: Gets every run with its steps, and the generator's comparison, as they end.
    """
    sizes = [size for size in options.sizes if size != options.events]
    months = iter(stack.take_months(2 * options.runs + options.old_runs + len(sizes)))
    for number in range(max(options.runs, options.old_runs)):
        if number < options.runs:
            run = dagster_way.run_month(stack, next(months), options.events)
            result["runs"] += [_told(run)]
            containers = bare_steps.read_containers(stack, run["run_id"])
            result["runs"] += [_told(bare_steps.run_month(stack, containers, next(months), options.events))]
        if number < options.old_runs:
            result["runs"] += [_told(old_way.run_month(stack, containers, next(months), options.events))]
    for size in sizes:  # added one by one, because a larger size may fail
        result["runs"] += [_told(dagster_way.run_month(stack, next(months), size))]
    if options.rate_events:
        result["generator"] = measure_generator(stack, options.rate_events, GENERATOR_ROUNDS)


def _told(run: dict[str, Any]) -> dict[str, Any]:
    print(f"{run['way']}: {run['events']:,} events of {run['month']} in {run['wall_s']:.1f} s", flush=True)
    return run


if __name__ == "__main__":
    main()
