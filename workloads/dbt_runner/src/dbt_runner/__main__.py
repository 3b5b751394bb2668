"""The image's commands: ``build`` and ``publish`` run as Dagster steps, ``prepare_image`` when the image is built."""

import argparse
import gc
import sys
from contextlib import suppress
from importlib import import_module
from types import ModuleType

from dagster_pipes import PipesEnvVarParamsLoader, open_dagster_pipes

from dbt_runner.cancellation import cancellable
from dbt_runner.errors import DbtRunnerError, RequestError
from dbt_runner.settings import load_settings


def main() -> int:
    """Run the command that the arguments name.

    Returns:
        The exit code: 0 on success, 143 if the process was told to stop, 1 otherwise.
    """
    parser = argparse.ArgumentParser(prog="dbt_runner", description=__doc__)
    parser.add_argument("command", choices=["build", "publish", "prepare_image"])
    command = parser.parse_args().command
    # Import only the command's module: `publish` saves the seconds that importing dbt takes.
    module = import_module(f"dbt_runner.{command}")
    try:
        if command == "prepare_image":
            module.prepare_image(load_settings())
        else:
            _run_step(module, command)
    except DbtRunnerError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    return 0


def _run_step(module: ModuleType, command: str) -> None:
    loader = PipesEnvVarParamsLoader()  # type: ignore[no-untyped-call]  # dagster_pipes leaves its constructor bare
    if not loader.is_dagster_pipes_process():
        raise RequestError(
            "This process was not started as a Dagster step: the environment has no Pipes parameters. Materialize the "
            "marts in Dagster; to work on the SQL by hand, run dbt itself in sql/dbt."
        )
    # A container may be started ahead of its step; it then waits where the context is read. An error before that point
    # is swallowed here, and the loading is repeated where Pipes can report the error.
    loaded = None
    with suppress(DbtRunnerError):
        loaded = module.load(load_settings())
    with open_dagster_pipes() as pipes, cancellable():
        settings = load_settings()
        getattr(module, command)(pipes, settings, loaded or module.load(settings))
    # Without this, Python spends half a second before it exits on collecting the objects that dbt loaded.
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
