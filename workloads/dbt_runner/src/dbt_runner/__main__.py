"""The image's commands: ``build`` and ``publish`` run as Dagster steps, ``bake`` when the image is built."""

import argparse
import sys
from collections.abc import Callable

from dagster_pipes import PipesContext, PipesEnvVarParamsLoader, open_dagster_pipes

from dbt_runner.build import build
from dbt_runner.cancellation import cancellable
from dbt_runner.errors import DbtRunnerError, RequestError
from dbt_runner.publish import publish
from dbt_runner.settings import Settings, load_settings


def main() -> int:
    """Run the command that the arguments name.

    Returns:
        The exit code: 0 if all went well, 143 if the process was told to stop, else 1.
    """
    parser = argparse.ArgumentParser(prog="dbt_runner", description=__doc__)
    parser.add_argument("command", choices=["build", "publish", "bake"])
    command = parser.parse_args().command
    try:
        if command == "bake":
            # Needs dbt, which the step loads as late as it can.
            from dbt_runner.bake import bake  # noqa: PLC0415

            bake(load_settings())
        else:
            _run_step(build if command == "build" else publish)
    except DbtRunnerError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    return 0


def _run_step(step: Callable[[PipesContext, Settings], None]) -> None:
    loader = PipesEnvVarParamsLoader()  # type: ignore[no-untyped-call]  # dagster_pipes leaves its constructor bare
    if not loader.is_dagster_pipes_process():
        raise RequestError(
            "This process was not started as a Dagster step: the environment has no Pipes parameters. Materialize the "
            "marts in Dagster; to work on the SQL by hand, run dbt itself in sql/dbt."
        )
    with open_dagster_pipes() as pipes, cancellable():
        step(pipes, load_settings())


if __name__ == "__main__":
    sys.exit(main())
