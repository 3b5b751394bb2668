"""What the UI offers to build after a month was sent again: that month if its rows differ, and nothing else.

Dagster marks the direct followers of a changed table as stale; those further down follow once these are built.
"""

import pytest
from stack import Stack

pytestmark = pytest.mark.stack

CHANGED, OTHER = "2021-03", "2019-02"
FIRST, SECOND, THIRD = FOLLOWERS = ("staging/stg_trips", "intermediate/int_trip_metrics", "core/fct_trips")
STALE = """
query Stale($key: AssetKeyInput!, $month: String!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode { staleStatus(partition: $month) }
  }
}
"""


def stale(stack: Stack) -> dict[str, list[str]]:
    """Return the followers that are stale, each with its stale months."""
    found: dict[str, list[str]] = {}
    for asset in FOLLOWERS:
        for month in (CHANGED, OTHER):
            node = stack.query(STALE, key={"path": asset.split("/")}, month=month)["assetNodeOrError"]
            assert node["staleStatus"] in {"FRESH", "STALE"}, (asset, month, node)
            if node["staleStatus"] == "STALE":
                found.setdefault(asset, []).append(month)
    return found


def run(stack: Stack, month: str, selection: str, *, events: int = 50) -> None:
    launch = stack.launch(month, "--select", selection, "--events", str(events))
    assert launch.exit_code == 0, launch.output


@pytest.mark.usefixtures("real_months")
def test_new_rows_of_a_month_make_only_that_month_stale(stack: Stack) -> None:
    run(stack, CHANGED, "kafka,lake,dbt_build")
    assert stale(stack) == {}
    run(stack, CHANGED, "kafka,lake")
    assert stale(stack) == {}, "the same rows were sent again"
    run(stack, CHANGED, "kafka,lake", events=60)
    assert stale(stack) == {FIRST: [CHANGED]}
    run(stack, CHANGED, f"{FIRST},{SECOND}")
    assert stale(stack) == {THIRD: [CHANGED]}
