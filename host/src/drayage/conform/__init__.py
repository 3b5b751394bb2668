"""Whether an image keeps the workload contract: scenarios that it is run through under a real Dagster instance.

Reading order: ``scenarios`` (what is asked for) → ``expectations``, ``values`` (what must come of it) → ``bench`` (runs
one) → ``evidence`` (what is known afterwards) → ``table`` (how it is shown) → ``plugin`` (for pytest). The contract
itself is docs/workload-contract.md.
"""

from drayage.conform.bench import Bench, Report
from drayage.conform.scenarios import SCENARIOS, Scenario

__all__ = ["SCENARIOS", "Bench", "Report", "Scenario"]
