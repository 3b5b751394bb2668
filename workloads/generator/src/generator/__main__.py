"""The image's entry point: one command, inside one Dagster Pipes session."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final, NoReturn

from dagster_pipes import PipesContext, PipesMappingParamsLoader, open_dagster_pipes

from generator.errors import GeneratorError, RequestError, TerminatedError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The command line without the program's name; the process's own when None.

    Returns:
        The exit code: 0, or that of the error which ended the step.
    """
    command = _parse(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("generator").setLevel(logging.INFO)
    _raise_on_termination()
    try:
        _check_host()
        with open_dagster_pipes() as pipes:
            command(pipes)
    except GeneratorError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    return 0


def _topics(pipes: PipesContext) -> None:
    from generator.topics import run_topics  # noqa: PLC0415  as said below

    run_topics(pipes)


def _produce(pipes: PipesContext) -> None:
    from generator.produce import run_produce  # noqa: PLC0415  as said below

    run_produce(pipes)


COMMANDS: Final[dict[str, Callable[[PipesContext], None]]] = {"topics": _topics, "produce": _produce}
"""What the image can do. Each is imported when it runs: `topics` does without a second of imports for Arrow."""


def _parse(arguments: Sequence[str] | None) -> Callable[[PipesContext], None]:
    parser = argparse.ArgumentParser(prog="drayage-generator", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    return COMMANDS[parser.parse_args(arguments).command]


def _check_host() -> None:
    if not PipesMappingParamsLoader(os.environ).is_dagster_pipes_process():
        raise RequestError(
            "the step was started without a Dagster Pipes session",
            expected="DAGSTER_PIPES_CONTEXT and DAGSTER_PIPES_MESSAGES in the environment",
            got="neither",
            todo="materialize the asset in Dagster, which starts this image",
        )


def _raise_on_termination() -> None:
    """Turn SIGTERM and SIGINT into an exception, so that an open transaction is aborted."""

    def terminate(number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise TerminatedError(
            f"the step was stopped by {signal.Signals(number).name}",
            got="no more events sent; the open transaction aborted",
            todo="materialize again to send the month as a whole",
        )

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, terminate)


if __name__ == "__main__":
    sys.exit(main())
