"""The image's commands: ``build`` and ``publish`` run as Dagster steps, ``bake`` when the image is built."""

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
        The exit code: 0 if all went well, 143 if the process was told to stop, else 1.
    """
    parser = argparse.ArgumentParser(prog="dbt_runner", description=__doc__)
    parser.add_argument("command", choices=["build", "publish", "bake"])
    command = parser.parse_args().command
    # Only the command's own: `publish` does without the seconds that dbt takes.
    module = import_module(f"dbt_runner.{command}")
    try:
        if command == "bake":
            module.bake(load_settings())
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
    # A container may be started ahead of its step, and then waits where the context is read. What fails before is tried
    # again where Pipes can tell of it.
    loaded = None
    with suppress(DbtRunnerError):
        loaded = module.load(load_settings())
    with open_dagster_pipes() as pipes, cancellable():
        settings = load_settings()
        getattr(module, command)(pipes, settings, loaded or module.load(settings))
    # Python would look through all that dbt has loaded before it exits, for half a second.
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
