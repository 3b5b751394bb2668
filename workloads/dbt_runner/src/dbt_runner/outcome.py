"""The result of each node of a build, and the verdict on the build."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dbt_runner.errors import BuildFailedError, what_helps

Kind = Literal["seed", "model", "test", "unit_test"]
_GOOD = frozenset({"success", "pass", "warn", "no-op"})
_SKIPPED_SHOWN = 8


@dataclass(frozen=True)
class NodeOutcome:
    """The result of one node.

    Args:
        unique_id: dbt's unique id of the node.
        name: The node's short name.
        kind: Seed, model, test or unit test.
        status: dbt's status: success, error, pass, warn, fail, skipped and others.
        execution_s: Seconds that dbt took for the node.
        failing_rows: Number of failing rows that a test found.
        message: The message from dbt or the database; empty if there is none.
        subject: For a test, the name of the node that it tests; empty if none is known.
        path: The node's file within the dbt project.
    """

    unique_id: str
    name: str
    kind: Kind
    status: str
    execution_s: float
    failing_rows: int
    message: str
    subject: str
    path: str

    @property
    def good(self) -> bool:
        """Whether the step can succeed with this result."""
        return self.status in _GOOD

    @property
    def skipped(self) -> bool:
        """Whether dbt skipped the node because a node before it failed."""
        return self.status == "skipped"

    def describe(self) -> str:
        """Describe in a few words why the node failed."""
        if self.kind in ("test", "unit_test"):
            on = f" on {self.subject}" if self.subject else ""
            if self.status == "fail" and self.kind == "test":
                return f"test {self.name}{on}: {self.failing_rows:,} failing rows ({self.path})"
            return f"{self.kind.replace('_', ' ')} {self.name}{on}: {self.message} ({self.path})"
        return f"{self.kind} {self.name}: {self.message} ({self.path})"


def summarize(outcomes: Iterable[NodeOutcome]) -> str:
    """Count the outcomes in one line.

    Args:
        outcomes: The outcomes of the build.

    Returns:
        A line such as ``111 passed, 7 warned, 0 failed, 0 skipped (models: 14, seeds: 3, tests: 101)``.
    """
    listed = list(outcomes)
    kinds = Counter(outcome.kind for outcome in listed)
    named = ", ".join(f"{kind.replace('_', ' ')}s: {count}" for kind, count in sorted(kinds.items()))
    warned = sum(outcome.status == "warn" for outcome in listed)
    skipped = sum(outcome.skipped for outcome in listed)
    failed = sum(not outcome.good and not outcome.skipped for outcome in listed)
    passed = len(listed) - warned - skipped - failed
    return f"{passed} passed, {warned} warned, {failed} failed, {skipped} skipped ({named})"


def require_all_good(outcomes: Iterable[NodeOutcome], what: str) -> None:
    """Raise if any node failed.

    Args:
        outcomes: The outcomes of the build.
        what: What was built, for the message.

    Raises:
        BuildFailedError: Nodes failed or were skipped; the message names all that failed and the first that were
            skipped.
    """
    listed = list(outcomes)
    failed = [outcome for outcome in listed if not outcome.good and not outcome.skipped]
    skipped = [outcome.name for outcome in listed if outcome.skipped and outcome.kind in ("seed", "model")]
    if not failed and not skipped:
        return
    failures = "; ".join(outcome.describe() for outcome in failed)
    raise BuildFailedError(
        f"dbt build of {what} failed: {failures}.{_describe_skipped(skipped)} {_advise(failed)} "
        "Nodes built before the failure stay; the next materialization of the month replaces them."
    )


def _describe_skipped(names: list[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:_SKIPPED_SHOWN]) + (" and others" if len(names) > _SKIPPED_SHOWN else "")
    return f" Skipped because of that: {shown}."


def _advise(failed: list[NodeOutcome]) -> str:
    if any(outcome.kind == "test" and outcome.status == "fail" for outcome in failed):
        return (
            "A failing test means that the pipeline is wrong; odd records only warn. Run the test's query on the "
            "marts' DuckDB file to see the rows."
        )
    return what_helps(
        " ".join(outcome.message for outcome in failed),
        "Fix the SQL in sql/dbt and build the image again, or restore what the database's message reports missing.",
    )
