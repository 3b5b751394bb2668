"""The conformance program: it runs each scenario of docs/workload-contract.md."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster_pipes import (
    PipesContext,
    PipesContextData,
    PipesDefaultContextLoader,
    PipesParams,
    open_dagster_pipes,
)

TEXT = 'quote " backslash \\ newline \n tab \t umlaut ü euro € smile 😀'
SIGTERM_EXIT_CODE = 143


class Terminated(BaseException):
    """The runner told the program to stop."""


class KeptContext(PipesDefaultContextLoader):
    """Keeps the context as read, because dagster-pipes returns its members one by one, and refuses null ones."""

    data: PipesContextData

    @contextmanager
    def load_context(self, params: PipesParams) -> Iterator[PipesContextData]:
        """Load the context, and keep it."""
        with super().load_context(params) as self.data:
            yield self.data


def main() -> None:
    """Run the scenario that the extra ``drayage/scenario`` names."""
    signal.signal(signal.SIGTERM, _terminate)
    loader = KeptContext()
    try:
        with open_dagster_pipes(context_loader=loader) as pipes:
            scenario = pipes.extras["drayage/scenario"]
            if scenario == "context":
                context(pipes, loader.data)
            else:
                SCENARIOS[scenario](pipes)
    except Terminated:
        sys.exit(SIGTERM_EXIT_CODE)


def context(pipes: PipesContext, data: PipesContextData) -> None:
    """Send the context back, and materialize every asset."""
    print(pipes.extras["text"])
    pipes.report_custom_message({"context": dict(data)})
    for key in pipes.asset_keys if pipes.is_asset_step else ():
        pipes.report_asset_materialization(asset_key=key)


def metadata(pipes: PipesContext) -> None:
    """Report a value of every type."""
    fare = {
        "name": "fare",
        "type": "decimal",
        "description": "What was paid",
        "tags": {"unit": "usd"},
        "constraints": {"nullable": False, "unique": False, "other": ["> 0"]},
    }
    days = {
        "records": [{"day": "2024-01-01", "trips": 2}, {"day": "2024-01-02", "trips": None}],
        "schema": [{"name": "day", "type": "date"}, {"name": "trips", "type": "int"}],
    }
    source = ["silver", "cleaned_trips"]
    deps = [{"asset_key": source, "column_name": column} for column in ("fare_amount", "tip")]
    pipes.report_asset_materialization(
        metadata={
            "text": TEXT,
            "url": typed("url", "https://example.org/a?b=c&d"),
            "path": typed("path", "/data/a.parquet"),
            "notebook": typed("notebook", "/data/a.ipynb"),
            "md": typed("md", "**bold**"),
            "json": typed("json", {"a": [1, None, True]}),
            "int": 2**53 - 1,
            "float": 0.1,
            "whole": typed("float", 3.0),
            "million": typed("float", 1e6),
            "bool": True,
            "null": typed("null", None),
            "timestamp": typed("timestamp", 1704067200.5),
            "run": typed("dagster_run", pipes.run_id),
            "asset": typed("asset", "silver/cleaned_trips"),
            "inferred": [1, "a"],
            "table": typed("table", days),
            "schema": typed("table_schema", {"columns": [fare, {"name": "note", "type": "text"}]}),
            "lineage": typed("table_column_lineage", {"deps_by_column": {"fare": deps}}),
        },
        data_version="v1",
    )


def checks(pipes: PipesContext) -> None:
    """Report one check that passed and one that failed."""
    pipes.report_asset_check("whole", passed=True, metadata={"rows": 3})
    pipes.report_asset_check("fresh", passed=False, severity="WARN", metadata={"age_s": 1.5})
    pipes.report_asset_materialization()


def logs(pipes: PipesContext) -> None:
    """Log at every level, and print to both streams."""
    print("to stdout")
    print("to stderr", file=sys.stderr)
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(pipes.log, level)(f"{level.upper()} {TEXT}")
    pipes.report_asset_materialization()


def custom(pipes: PipesContext) -> None:
    """Send every kind of JSON, and progress."""
    for payload in (None, True, 7, 0.5, TEXT, [1, [2]], {"kind": "own", "a": {"b": None}}):
        pipes.report_custom_message(payload)
    pipes.report_custom_message({"kind": "progress", "metadata": {"rows": 1}})
    pipes.report_asset_materialization()


def partitions(pipes: PipesContext) -> None:
    """Send each partition's number for every asset, and progress for every asset."""
    for key in pipes.asset_keys:
        for number, partition in enumerate(pipes.extras["partitions"]):
            own = {"kind": "partition_metadata", "partition_key": partition, "metadata": {"number": number}}
            pipes.report_custom_message({**own, "asset_key": key})
        pipes.report_custom_message({"kind": "progress", "asset_key": key, "metadata": {"rows": 1}})
        pipes.report_asset_materialization(asset_key=key)


def streams(pipes: PipesContext) -> None:
    """Forward the output of another process."""
    for stream in ("stdout", "stderr"):
        pipes.log_external_stream(stream, f"{stream} {TEXT}")
    pipes.report_asset_materialization()


def large(pipes: PipesContext) -> None:
    """Report large metadata."""
    padding = len(pipes.extras["padding"])
    pipes.report_asset_materialization(metadata={"large": "x" * pipes.extras["characters"], "padding": padding})


def many(pipes: PipesContext) -> None:
    """Send many messages."""
    pipes.log.info("begin")
    for number in range(pipes.extras["count"]):
        pipes.report_custom_message({"number": number})
    pipes.log.info("end")
    pipes.report_asset_materialization()


def fail(_pipes: PipesContext) -> None:
    """Fail, with a cause."""
    raise RuntimeError("no trips") from ValueError("the file is empty")


def sigterm(pipes: PipesContext) -> None:
    """Wait for the signal."""
    pipes.report_custom_message("ready")
    signal.pause()


def secret(pipes: PipesContext) -> None:
    """Read a secret."""
    token = Path("/run/secrets/token").read_text(encoding="utf-8")
    print(token)
    pipes.report_asset_materialization(metadata={"characters": len(token)})


def typed(kind: str, value: Any) -> Any:
    """Return a value with its type, which JSON cannot express."""
    return {"type": kind, "raw_value": value}


def _terminate(_number: int, _frame: object) -> None:
    raise Terminated("SIGTERM")


SCENARIOS: dict[str, Callable[[PipesContext], None]] = {
    "metadata": metadata,
    "checks": checks,
    "logs": logs,
    "custom": custom,
    "partitions": partitions,
    "streams": streams,
    "large": large,
    "many": many,
    "exception": fail,
    "sigterm": sigterm,
    "secret": secret,
}

if __name__ == "__main__":
    main()
