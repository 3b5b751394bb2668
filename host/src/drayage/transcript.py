"""Messages as people read them, one line each; and a handler that judges them without Dagster's context."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from drayage.dagster_internals import metadata_from_pipes
from drayage.message_schema import is_settled
from drayage.promises import Promise, broken_promises

_SHOWN_CHARACTERS = 160


def described(message: Any) -> str:
    """Put a message in one line.

    Args:
        message: As the workload sent it.
    """
    method, params = message["method"], message.get("params") or {}
    if method == "log":
        return f"{params.get('level', 'INFO').upper():<8} {params['message']}"
    if method == "report_asset_materialization":
        return f"MATERIALIZED {params['asset_key']} {_metadata(params.get('metadata'))}".rstrip()
    if method == "report_asset_check":
        became = "passed" if params["passed"] else f"failed ({params['severity']})"
        return f"CHECK    {params['asset_key']}:{params['check_name']} {became} {_metadata(params.get('metadata'))}"
    if method == "report_custom_message":
        return f"MESSAGE  {_short(params['payload'])}"
    if method == "closed" and params.get("exception"):
        exception = params["exception"]
        return f"CLOSED   with {exception.get('name')}: {exception.get('message')}"
    return str(method).upper()


class ReplayHandler:
    """Takes messages as Dagster's handler does, and shows each.

    Args:
        show: Shows one line.
        assets: The assets that the step makes; empty takes any.
        promised: What each of them must report.
    """

    def __init__(
        self, show: Callable[[str], None], *, assets: set[str], promised: Mapping[str, Mapping[str, Promise]]
    ) -> None:
        self._show = show
        self._assets = assets
        self._promised = promised
        self._reported: set[str] = set()
        self.broken: list[str] = []

    def handle_message(self, message: Any) -> None:
        """Take one message, which the ledger has found to be one; what metadata is not understood raises."""
        method, params = message["method"], message["params"]
        self._show(described(message))
        if method == "report_asset_materialization":
            self._judge_materialization(params)
        elif method == "report_custom_message" and is_settled(params["payload"]):
            metadata_from_pipes(params["payload"]["metadata"])

    def get_reported_results(self) -> tuple[()]:
        """Nothing: a replay reports nothing to Dagster."""
        return ()

    def report_pipes_framework_exception(self, origin: str, exc_info: Any) -> None:
        """Show a reader's own error; the ledger takes note of it."""
        self._show(f"{origin}: {exc_info[1]}")

    def broken_promises(self) -> list[str]:
        """Every promise that was not kept, those about assets that were not reported included."""
        missing = [
            f"{asset} was promised, and no materialization of it was reported"
            for asset, promised in self._promised.items()
            if promised and asset not in self._reported
        ]
        return self.broken + missing

    def _judge_materialization(self, params: Mapping[str, Any]) -> None:
        asset = params["asset_key"]
        self._reported.add(asset)
        metadata = metadata_from_pipes(params.get("metadata") or {})
        if self._assets and asset not in self._assets:
            self.broken.append(f"a materialization of {asset} was reported, which is none of the step's assets")
        self.broken += [
            f"{asset} was promised metadata: {text}"
            for text in broken_promises(self._promised.get(asset, {}), metadata)
        ]


def _metadata(metadata: Mapping[str, Any] | None) -> str:
    shown = {
        name: value["raw_value"] if isinstance(value, Mapping) and "raw_value" in value else value
        for name, value in (metadata or {}).items()
    }
    return " ".join(f"{name}={_short(value)}" for name, value in shown.items())


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
