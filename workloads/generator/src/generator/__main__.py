"""The image's entry point: run one command inside a Dagster Pipes session."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import FrameType
from typing import Final, NoReturn

from dagster_pipes import PipesContext, PipesMappingParamsLoader, open_dagster_pipes

from generator.errors import GeneratorError, RequestError, TerminatedError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Command line without the program's name; the process's own by default.

    Returns:
        The exit code: 0 on success, otherwise that of the error.
    """
    # Slow imports come before the context is read, because a container may be started ahead of its step.
    command = _load(arguments)
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


COMMANDS: Final[dict[str, str]] = {"topics": "run_topics", "produce": "run_produce"}
"""Each command's module, with its function."""


def _load(arguments: Sequence[str] | None) -> Callable[[PipesContext], None]:
    """Import only the command's module: ``topics`` saves the second that importing Arrow takes."""
    parser = argparse.ArgumentParser(prog="drayage-generator", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    command = parser.parse_args(arguments).command
    run: Callable[[PipesContext], None] = getattr(import_module(f"generator.{command}"), COMMANDS[command])
    return run


def _check_host() -> None:
    if not PipesMappingParamsLoader(os.environ).is_dagster_pipes_process():
        raise RequestError(
            "the step was started without a Dagster Pipes session",
            expected="DAGSTER_PIPES_CONTEXT and DAGSTER_PIPES_MESSAGES in the environment",
            got="neither",
            todo="materialize the asset in Dagster, which starts this image",
        )


def _raise_on_termination() -> None:
    """Turn SIGTERM and SIGINT into an exception, which aborts an open transaction."""

    def terminate(number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise TerminatedError(
            f"the step was stopped by {signal.Signals(number).name}",
            got="no more events sent; the open transaction aborted",
            todo="materialize again, which sends the rest of the month",
        )

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, terminate)


if __name__ == "__main__":
    sys.exit(main())
