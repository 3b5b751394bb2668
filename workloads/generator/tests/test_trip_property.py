"""Random tables in each format and type read back as what was written: equal, or as text beside a null."""

import datetime as dt
import gzip
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from trip_files import MONTH, TLC_COLUMNS

from generator.event_schema import TRIP_SCHEMA
from generator.trip_file import TripFile

DAY_US = 86_400_000_000
FIRST_US, END_US = -62_135_596_800_000_000, 253_402_300_800_000_000
EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  wall clock

WHOLE = st.one_of(st.integers(0, 300), st.integers(-(2**63), 2**63 - 1))
HUGE = st.integers(-(2**64), 2**64)
DOUBLES = st.floats(allow_nan=False)
CENTS = st.decimals(-(10**13), 10**13, places=2)
TIMES_US = st.one_of(
    st.integers(FIRST_US // 1000, END_US // 1000 - 1).map(lambda ms: ms * 1000),
    st.integers(FIRST_US, END_US - 1),
    st.integers(-(2**63), 2**63 - 1),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


class Kind:
    """How a column's values are written in a file's types.

    Args:
        values: The values.
        types: For each type, what turns a list of values, with None for null, into Arrow's array; it may refuse.
        text: Writes a value as text.
    """

    def __init__(
        self, values: st.SearchStrategy[Any], types: list[Callable[[list[Any]], pa.Array]], text: Callable[[Any], str]
    ) -> None:
        self.values = values
        self.text = text
        self.types = [
            *types,
            lambda values: pa.array(self.texts(values), pa.string()),
            lambda values: pa.array(self.texts(values), pa.large_string()),
            lambda values: pa.array(self.texts(values), pa.string()).dictionary_encode(),
        ]

    def texts(self, values: list[Any]) -> list[str | None]:
        """Write values as text."""
        return [None if value is None else self.text(value) for value in values]


def typed(type_: pa.DataType) -> Callable[[list[Any]], pa.Array]:
    """Write values in a type, or refuse if it cannot hold them."""

    def write(values: list[Any]) -> pa.Array:
        array = pa.array(values, type_)
        if array.to_pylist() != values:
            raise ValueError(type_)
        return array

    return write


def counted(unit: str, per_us: Decimal) -> Callable[[list[Any]], pa.Array]:
    """Write times in a unit, or refuse if it cannot hold them."""

    def write(values: list[Any]) -> pa.Array:
        counts = [None if value is None else value * per_us for value in values]
        if any(count is not None and (count % 1 or abs(count) >= 2**63) for count in counts):
            raise ValueError(unit)
        return pa.array([None if count is None else int(count) for count in counts], pa.timestamp(unit))

    return write


def time_text(us: int) -> str:
    """Write a time as text, of any year."""
    days, rest = divmod(us, DAY_US)
    cycles, days = divmod(days, 146_097)  # days in 400 years
    time = EPOCH + dt.timedelta(days=days, microseconds=rest)
    year = time.year + 400 * cycles
    return f"{'-' if year < 0 else ''}{abs(year):04d}{time:-%m-%d %H:%M:%S.%f}"


INTEGERS = [typed(type_) for type_ in (pa.int64(), pa.int32(), pa.uint64(), pa.uint8(), pa.float64())]
NUMBERS = Kind(st.one_of(WHOLE, HUGE), [*INTEGERS, typed(pa.decimal128(20, 0))], str)
FLOATS = Kind(DOUBLES, [typed(pa.float64()), typed(pa.float32())], repr)
DECIMALS = Kind(CENTS, [typed(pa.decimal128(18, 2)), typed(pa.decimal256(40, 2))], str)
TIMES = Kind(
    TIMES_US,
    [
        counted("s", Decimal("1e-6")),
        counted("ms", Decimal("1e-3")),
        counted("us", Decimal(1)),
        counted("ns", Decimal(1000)),
    ],
    time_text,
)
TEXTS = Kind(NAMES, [], str)
KINDS = {pa.int64(): [NUMBERS, FLOATS], pa.float64(): [FLOATS, DECIMALS, NUMBERS], pa.string(): [TEXTS]}


def kinds_of(column: str) -> list[Kind]:
    """Return the kinds of values that a column may have."""
    return KINDS.get(TRIP_SCHEMA.field(column).type, [TIMES]) if column in TRIP_SCHEMA.names else [TEXTS]


@st.composite
def columns(draw: st.DrawFn) -> tuple[dict[str, tuple[Kind, list[Any]]], int]:
    """Draw a file's columns, a few of them with values, and the number of rows."""
    count = draw(st.integers(1, 6))
    filled = draw(
        st.lists(st.sampled_from([*TLC_COLUMNS, "cbd_congestion_fee", "new", 'Neu, "n"']), max_size=6, unique=True)
    )
    found = {}
    for name in {**dict.fromkeys(TLC_COLUMNS), **dict.fromkeys(filled)}:
        kind = draw(st.sampled_from(kinds_of(name)))
        values = st.lists(st.none() | kind.values, min_size=count, max_size=count)
        found[name] = kind, draw(values) if name in filled else [None] * count
    return found, count


def is_same(kind: Kind, value: Any, found: Any, out_of_range: str | None, target: pa.DataType) -> bool:
    """Return whether a value is found unchanged, or is kept as text because the event's type cannot hold it."""
    if value is None:
        return found is None and out_of_range is None
    if kind is TIMES:
        held = FIRST_US <= value < END_US and value % 1000 == 0
        text_is_right = out_of_range is not None and denotes(out_of_range, value)
        return found == value // 1000 and out_of_range is None if held else found is None and text_is_right
    if target == pa.int64():
        held = math.isfinite(value) and value == int(value) and -(2**63) <= value < 2**63
    else:
        held = math.isfinite(value) and (kind is not NUMBERS or float(value) == value)
    if held:
        # A large double's text, the shortest that only it has, may name another whole number.
        meant = {int(value), int(Decimal(str(value)))} if target == pa.int64() else {float(value)}
        return out_of_range is None and found in meant
    return found is None and out_of_range is not None and Decimal(out_of_range) == Decimal(str(value))


def denotes(text: str, us: int) -> bool:
    """Return whether a text is a time, or its number of units since 1970."""
    if text.endswith("since 1970-01-01"):
        count, unit = text.split()[:2]
        return int(count) * {"s": 10**6, "ms": 1000, "us": 1}[unit] == us
    # The fraction has as many digits as the unit that was read.
    shorter, longer = sorted((text, time_text(us)), key=len)
    return longer.startswith(shorter) and not longer[len(shorter) :].strip("0.")


def check(path: Path, written: dict[str, tuple[Kind, list[Any]]]) -> None:
    """Read a file, and compare each value with what was written."""
    found = pa.Table.from_batches(TripFile(MONTH, path).batches())
    out_of_range = [dict(row or ()) for row in found["values_out_of_range"].to_pylist()]
    unknown = [dict(row or ()) for row in found["unknown_columns"].to_pylist()]
    for name, (kind, values) in written.items():
        if name not in TRIP_SCHEMA.names:
            assert [row.get(name) for row in unknown] == values
            continue
        column = found[name]
        read = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        if kind is TEXTS:
            assert read.to_pylist() == values
            continue
        for value, read_value, row in zip(values, read.to_pylist(), out_of_range, strict=True):
            assert is_same(kind, value, read_value, row.get(name), TRIP_SCHEMA.field(name).type), (
                name,
                value,
                read_value,
                row,
            )


def csv_field(text: str | None, *, quoted: bool) -> str:
    """Write a value of a csv file."""
    if text is None:
        return ""
    return '"' + text.replace('"', '""') + '"' if quoted or not text or set(text) & set(',"\r\n') else text


PATIENT = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@PATIENT
@given(st.data())
def test_a_random_parquet_file_reads_back(tmp_path: Path, data: st.DataObject) -> None:
    """Each column is in any type that can hold its values, and times may be INT96."""
    written, _ = data.draw(columns())
    arrays = {}
    int96 = data.draw(st.booleans())
    for name, (kind, values) in written.items():
        for write in data.draw(st.permutations(kind.types)):
            try:
                arrays[name] = write(values)
            except (pa.ArrowException, ValueError, OverflowError, TypeError):
                continue
            break
    if int96:
        int96 = all(abs(value or 0) < END_US for kind, values in written.values() if kind is TIMES for value in values)
    path = tmp_path / "yellow_tripdata_2019-01.parquet"
    pq.write_table(pa.table(arrays), path, use_deprecated_int96_timestamps=int96)
    check(path, written)


@PATIENT
@given(st.data())
def test_a_random_csv_file_reads_back(tmp_path: Path, data: st.DataObject) -> None:
    """Line ends, quotation, commas at the end, a second line and compression are any."""
    written, count = data.draw(columns())
    end, quoted = data.draw(st.sampled_from(["\n", "\r\n"])), data.draw(st.booleans())
    texts = [kind.texts(values) for kind, values in written.values()]
    lines = [",".join(csv_field(name, quoted=quoted) for name in written), *[""] * data.draw(st.integers(0, 1))]
    lines += [
        ",".join(csv_field(column[row], quoted=quoted) for column in texts)
        + data.draw(st.sampled_from(["", ",", ",,"]))
        for row in range(count)
    ]
    content = (data.draw(st.sampled_from(["", "\ufeff"])) + end.join(lines) + end).encode()
    path = tmp_path / "yellow_tripdata_2019-01.csv"
    if data.draw(st.booleans()):
        path, content = path.with_suffix(".csv.gz"), gzip.compress(content)
    path.write_bytes(content)
    check(path, written)
