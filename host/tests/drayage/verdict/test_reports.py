"""What was reported, held against what had to be."""

from typing import Any

import pytest

from drayage.promise import Promise
from drayage.verdict.own_metadata import beside_own
from drayage.verdict.reports import Expected, Reports

EXPECTED = Expected(
    promised={"a": {"rows": Promise(types=("int",))}, "b": {}},
    assets={"a", "b"},
    checks={("a", "whole")},
    required_assets=("a", "b"),
    required_checks=(("a", "whole"),),
    made_from={"a": {"b"}},
)
ROWS = {"rows": object()}


def taken(*reported: tuple[Any, ...], expected: Expected = EXPECTED) -> list[str]:
    reports = Reports(expected)
    faults: list[str] = []
    for asset, metadata, *check in reported:
        faults += reports.take_check(asset, check[0]) if check else reports.take_materialization(asset, metadata)
    return faults + reports.missing()


def test_all_that_is_expected_is_right() -> None:
    assert taken(("a", ROWS), ("b", None), ("a", None, "whole")) == []


@pytest.mark.parametrize(
    ("reported", "says"),
    [
        ([("a", {}), ("b", None), ("a", None, "whole")], "a was promised metadata: 'rows' (int) is missing"),
        ([("a", ROWS), ("a", None, "whole")], "no materialization of b was reported"),
        ([("b", None), ("a", None, "whole")], "a was promised, but no materialization of it was reported"),
        ([("a", ROWS), ("b", None)], "the check 'whole' of a was declared and not reported"),
        ([("a", ROWS), ("b", None), ("b", None), ("a", None, "whole")], "b was reported as materialized twice"),
        (
            [("a", ROWS), ("b", None), ("c", None), ("a", None, "whole")],
            "a materialization of c was reported, which is",
        ),
        ([("a", ROWS), ("b", None), *[("a", None, "whole")] * 2], "the check 'whole' of a was reported twice"),
        (
            [("a", ROWS), ("b", None), ("a", None, "whole"), ("b", None, "whole")],
            "a check 'whole' of b was reported, which is not declared; declared are: 'whole' of a",
        ),
        ([("b", None), ("a", ROWS), ("a", None, "whole")], "a was reported after b, which is made from it"),
    ],
)
def test_each_thing_that_is_wrong_is_named_once(reported: list[tuple[Any, ...]], says: str) -> None:
    (fault,) = taken(*reported)
    assert says in fault


def test_without_a_declaration_anything_may_be_reported_once() -> None:
    assert taken(("c", None), ("c", None, "x"), expected=Expected()) == []
    assert len(taken(("c", None), ("c", None), ("c", None), expected=Expected())) == 2


def test_the_runners_names_and_the_workloads_are_both_kept() -> None:
    kept = beside_own({"duration_s": 99.5, "rows": 1, "check": 2}, {"check": "whole"})
    assert kept == {"reported/duration_s": 99.5, "rows": 1, "reported/check": 2}
    both = {"duration_s": 1, "reported/duration_s": 2}
    assert beside_own(both) == {"reported/duration_s": 2, "reported/reported/duration_s": 1}
