"""Tests whether an image keeps the workload contract, by scenarios that run under a real Dagster instance.

Reading order: ``scenarios`` (what the program is asked to do) → ``expectations``, ``values`` (the expected results) →
``bench`` (runs a scenario) → ``evidence`` (the results of a run) → ``table`` (prints the reports) → ``plugin`` (for
pytest). The contract itself is docs/workload-contract.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drayage.conform.bench import Bench, Report
    from drayage.conform.scenarios import SCENARIOS, Scenario

__all__ = ["SCENARIOS", "Bench", "Report", "Scenario"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: all of them need Dagster, whose import takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module 'drayage.conform' has no attribute {name!r}")
    home = "scenarios" if name in {"SCENARIOS", "Scenario"} else "bench"
    return getattr(import_module(f"drayage.conform.{home}"), name)
