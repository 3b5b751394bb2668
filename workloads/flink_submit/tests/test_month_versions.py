import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from flink_submit.errors import TopicError
from flink_submit.month_versions import CurrentVersion, read_current_version
from flink_submit.topic import Topic

# As the generator writes it.
RECORD = {
    "month": "2019-01",
    "source": "tlc_file",
    "source_version": "sha256-0123456789abcdef.89abcdef",
    "source_name": "yellow_tripdata_2019-01.parquet",
    "sha256": "0123456789abcdef" * 4,
    "seed": None,
    "events": 10000,
    "schema_id": 3,
    "topic": "taxi.raw_trips",
    "topic_id": "lOKx-EoemQOrou6Bi2y9_w",
    "offsets": {"0": [12, 10011], "1": [0, 0]},
    "completed_at": "2026-11-29T17:00:00+00:00",
}


@dataclass
class FakeVersions:
    """The topic of month versions."""

    records: list[tuple[bytes | None, bytes | None]] = field(default_factory=list)
    name: str = "taxi.month_versions"

    def committed_records(self, _report_wait: Callable[[int], None]) -> Iterator[tuple[bytes | None, bytes | None]]:
        """Yield the records."""
        yield from self.records

    def add(self, key: str, **changes: Any) -> None:
        """Append a record."""
        self.records.append((key.encode(), json.dumps(RECORD | changes).encode()))

    def read(self, month: str = "2019-01") -> CurrentVersion:
        """Read the current version."""
        topic: Topic = self  # type: ignore[assignment]  # has what is called
        return read_current_version(topic, month, lambda _undecided: None)


def test_the_last_record_of_the_month_is_its_current_version() -> None:
    """A version that was sent again after another becomes the current one again."""
    versions = FakeVersions()
    versions.add("2019-01")
    versions.add("2019-01", source="synthetic", source_version="seed-42-events-10000.89abcdef")
    versions.add("2019-01", events=9)
    versions.add("2019-02", month="2019-02", events=8)
    found = versions.read()
    assert (found.events, found.source_version) == (9, RECORD["source_version"])
    assert found.offsets == {0: (12, 10011), 1: (0, 0)}


def test_a_version_that_is_still_being_sent_is_invisible() -> None:
    """Its events may be half of the month."""
    versions = FakeVersions()
    versions.add("2019-01/sending", events=7)
    with pytest.raises(TopicError, match=r"no record of 2019-01: .* Materialize generate_events and bronze/raw_trips"):
        versions.read()
    versions.add("2019-01")
    versions.add("2019-01/sending", events=7)
    assert versions.read().events == 10000


def test_a_deleted_record_is_none() -> None:
    """In a compacted topic, a record without a value deletes its key."""
    versions = FakeVersions()
    versions.add("2019-01")
    versions.records += [(None, b"x"), (b"2019-01", None)]
    with pytest.raises(TopicError, match="no record of 2019-01"):
        versions.read()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"source": "web"}, "source: "),
        ({"source_version": "x' OR 'a'='a"}, "source_version: "),
        ({"events": "many"}, "events: "),
        ({"offsets": {"0": [1]}}, r"offsets\.0\.1: "),
        ({"month": "2019-02"}, "its month is 2019-02"),
    ],
)
def test_refuses_a_record_that_it_does_not_understand(changes: dict[str, Any], fault: str) -> None:
    """A wrong version would empty the month, or let rows of another one in."""
    versions = FakeVersions()
    versions.add("2019-01", **changes)
    with pytest.raises(TopicError, match=f"record of 2019-01 in topic taxi.month_versions is not understood: {fault}"):
        versions.read()


def test_refuses_a_record_that_is_not_json() -> None:
    """Whatever wrote it, the generator writes the next one."""
    with pytest.raises(TopicError, match=r"not understood: .*it is b'\\xff'"):
        FakeVersions([(b"2019-01", b"\xff")]).read()
