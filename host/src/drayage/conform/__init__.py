"""Tests whether an image keeps the workload contract, by scenarios that run under a real Dagster instance.

Reading order: ``scenarios`` (what the program is asked to do) → ``expectations``, ``values`` (the expected results) →
``bench`` (runs a scenario) → ``evidence`` (the results of a run) → ``table`` (prints the reports) → ``plugin`` (for
pytest). The contract itself is docs/workload-contract.md.
"""

from drayage.conform.bench import Bench, Report
from drayage.conform.scenarios import SCENARIOS, Scenario

__all__ = ["SCENARIOS", "Bench", "Report", "Scenario"]
