"""The code location of the tests of run workers on standby; they change its version, and the state beside it."""

import json
import os
import sys
import time
from pathlib import Path

import dagster as dg

from drayage import StateBackedDefinitionsLoader

VERSION = "first"
FOLDER = Path(__file__).parent


def note(context: dg.OpExecutionContext, text: str) -> None:
    """Leave a word that outlives the run."""
    (FOLDER / f"{context.run_id}.txt").write_text(text)


@dg.op
def say_version(context: dg.OpExecutionContext) -> None:
    note(context, f"{VERSION} {os.environ.get('STANDBY_TEST', '')}")


@dg.op
def say_surroundings(context: dg.OpExecutionContext) -> None:
    told = {"path": sys.path, "input": sys.stdin.read(), "cwd": str(Path.cwd()), "names": sorted(os.environ)}
    note(context, json.dumps({**told, "job": os.environ["DAGSTER_RUN_JOB_NAME"]}))


@dg.op
def wait(context: dg.OpExecutionContext) -> None:
    note(context, "waits")
    try:
        time.sleep(120)
    finally:
        note(context, "was interrupted")


@dg.op
def take_memory() -> None:
    held = []
    while True:
        held.append(bytearray(os.urandom(16)) * 2**20)


@dg.job
def short() -> None:
    say_version()


@dg.job
def surroundings() -> None:
    say_surroundings()


@dg.job
def long() -> None:
    wait()


@dg.job
def hungry() -> None:
    take_memory()


class Loader(StateBackedDefinitionsLoader[str]):
    defs_key = "standby/state"

    def fetch_state(self) -> str:
        return (FOLDER / "state.txt").read_text()

    def defs_from_state(self, state: str) -> dg.Definitions:
        @dg.asset(name=state)
        def named(context: dg.AssetExecutionContext) -> None:
            (FOLDER / f"{context.run_id}.txt").write_text(state)

        return dg.Definitions(
            assets=[named],
            jobs=[short, surroundings, long, hungry, dg.define_asset_job("assets")],
            executor=dg.in_process_executor,
        )


# Made when the module is imported, so that whoever imports it first decides from which state.
defs = Loader().build_defs()
