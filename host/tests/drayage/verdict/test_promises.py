"""Promises: made from a model, read back from metadata, compared with what was reported."""

from typing import Annotated, Any

import dagster as dg
import pydantic
import pytest

from drayage import PromiseError, promises
from drayage.verdict.promises import broken_promises, read_promises


class Report(pydantic.BaseModel):
    rows: Annotated[int, pydantic.Field(ge=0)]
    rate: float = pydantic.Field(alias="rows_per_second", json_schema_extra={"unit": "1/s"}, description="How fast.")
    snapshot: int | str
    anything: Any
    details: dict[str, int]
    note: str | None = None


def reported(**changes: dg.MetadataValue | None) -> dict[str, dg.MetadataValue]:
    metadata = {
        "rows": dg.MetadataValue.int(1),
        "rows_per_second": dg.MetadataValue.int(2),
        "snapshot": dg.MetadataValue.text("7"),
        "anything": dg.MetadataValue.bool(value=True),
        "details": dg.MetadataValue.json({"a": 1}),
        **changes,
    }
    return {name: value for name, value in metadata.items() if value is not None}


def test_promises_survive_dagsters_own_metadata() -> None:
    spec = dg.AssetSpec("a", metadata=promises(Report))
    promised = read_promises(spec.metadata)
    assert list(promised) == ["rows", "rows_per_second", "snapshot", "anything", "details", "note"]
    assert promised["rows_per_second"].unit == "1/s"
    assert promised["snapshot"].types == ("int", "text", "url", "path", "md")
    assert not promised["note"].required
    assert broken_promises(promised, reported()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rows": None}, "'rows' (int) is missing"),
        ({"rows": dg.MetadataValue.float(1.5)}, "'rows' is of type float, not int"),
        ({"rows": dg.MetadataValue.bool(value=True)}, "'rows' is of type bool, not int"),
        ({"details": dg.MetadataValue.text("x")}, "'details' is of type text, not json"),
        ({"note": dg.MetadataValue.int(3)}, "'note' is of type int, not text or url or path or md or null"),
    ],
)
def test_a_broken_promise_is_named_with_both_types(change: dict[str, dg.MetadataValue | None], says: str) -> None:
    assert broken_promises(read_promises(promises(Report)), reported(**change)) == [says]


def test_a_type_that_is_no_metadata_type_is_refused_at_once() -> None:
    class Odd(pydantic.BaseModel):
        thing: complex

    with pytest.raises(PromiseError, match=r"Odd\.thing is of type"):
        promises(Odd)


def test_malformed_promises_are_refused() -> None:
    with pytest.raises(PromiseError, match=r"Create it with drayage\.promises"):
        read_promises({"drayage/promises": {"rows": {"kind": "int"}}})
