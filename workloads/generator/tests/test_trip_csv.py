import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from trip_files import MONTH, ROWS, TLC_COLUMNS, read, refused

from generator.errors import TripFileCutOffError, TripFileEmptyError, TripFileUnreadableError, TripValueError
from generator.trip_csv import MOST_ROW_BYTES, READ_BYTES
from generator.trip_file import TripFile

Edit = Callable[[Callable[[list[str]], list[str]]], Path]


@pytest.fixture
def edit(trips: pa.Table, tmp_path: Path) -> Edit:
    """Writes the trips as csv, after a change of the lines; the first is the header."""
    path = tmp_path / "yellow_tripdata_2019-01.csv"

    def write(change: Callable[[list[str]], list[str]]) -> Path:
        pyarrow.csv.write_csv(trips, path, pyarrow.csv.WriteOptions(quoting_style="needed"))
        path.write_text("\n".join([*change(path.read_text().splitlines()), ""]))
        return path

    return write


def test_the_csv_of_its_time_is_read(trips: pa.Table, edit: Edit) -> None:
    """So were the TLC's files: byte order mark, Windows line ends, an empty second line, blanks in the header."""
    path = edit(lambda lines: [lines[0].replace(",", ", "), "", *lines[1:], "", ""])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read(path).select(TLC_COLUMNS).equals(trips)


def test_line_ends_of_old_macs_are_read(trips: pa.Table, edit: Edit) -> None:
    """A carriage return alone ends a line, too."""
    path = edit(lambda lines: lines)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r"))
    assert read(path).select(TLC_COLUMNS).equals(trips)


@pytest.mark.parametrize("rows", [slice(1, None), slice(1, 2), slice(200, None), slice(200, 201)])
@pytest.mark.parametrize("added", [",,", ',"",', ","])
def test_values_beyond_the_header_that_are_empty_are_no_fault(
    trips: pa.Table, edit: Edit, rows: slice, added: str
) -> None:
    """The rows of the second half of 2016 end with two commas under a header of 17 columns."""

    def change(lines: list[str]) -> list[str]:
        lines[rows] = [line + added for line in lines[rows]]
        return lines

    assert read(edit(change)).select(TLC_COLUMNS).equals(trips)


@pytest.mark.parametrize("added", [",7", ",,7", ", ,"])
@pytest.mark.parametrize("others", [",,", ""])
def test_a_value_beyond_the_header_is_refused(edit: Edit, added: str, others: str) -> None:
    """It belongs to a column without a name, or the row's values have moved."""

    def change(lines: list[str]) -> list[str]:
        lines[1:] = [line + others for line in lines[1:]]
        lines[100] += added
        return lines

    text = refused(edit(change), TripValueError)
    assert "line 101 has a wrong number of values" in text
    assert "expected 19, as the header has columns; more only if they are empty" in text


def test_a_line_with_too_few_values_is_named(edit: Edit) -> None:
    """The line's number is needed to find it in an editor."""
    text = refused(edit(lambda lines: [*lines[:100], "1,2019-01-01 00:00:00", *lines[100:]]), TripValueError)
    assert "line 101 has a wrong number of values" in text
    assert "got 2: '1,2019-01-01 00:00:00'" in text


def test_a_line_number_counts_header_empty_lines_and_line_breaks_in_values(edit: Edit) -> None:
    """An editor counts all of them."""

    def change(lines: list[str]) -> list[str]:
        values = lines[200].split(",")
        values[6] = '"Y\n\r\n"'
        last = lines[-1].split(",")
        last[10] = "much"
        return [lines[0], "", *lines[1:100], "", "", *lines[100:200], ",".join(values), *lines[201:-1], ",".join(last)]

    path = edit(change)
    number = next(n for n, line in enumerate(path.read_bytes().split(b"\n"), 1) if b"much" in line)
    assert number == ROWS + 1 + 3 + 2
    assert f"line {number}, column fare_amount, has a value of a wrong kind" in refused(path, TripValueError)


def test_a_line_number_is_right_beyond_the_first_read(trips: pa.Table, edit: Edit) -> None:
    """The file is read in pieces of a megabyte."""
    copies = READ_BYTES // 30_000 * 3

    def change(lines: list[str]) -> list[str]:
        last = lines[-1].split(",")
        last[10] = "much"
        return [lines[0], "", *(lines[1:] * copies), ",".join(last), *lines[1:]]

    path = edit(change)
    assert path.stat().st_size > 2 * READ_BYTES
    assert f"line {ROWS * copies + 3}, column fare_amount" in refused(path, TripValueError)
    path = edit(lambda lines: [lines[0], *(lines[1:] * copies)])
    assert read(path).select(TLC_COLUMNS).equals(pa.concat_tables([trips] * copies).combine_chunks())


def test_quoted_values_with_commas_breaks_and_quotation_marks_are_read(edit: Edit) -> None:
    """A piece of the file must not end in such a value."""
    flag = 'a,"b"\r\nc' + "\n" * 300

    def change(lines: list[str]) -> list[str]:
        rows = [line.split(",") for line in lines[1:]]
        for values in rows:
            values[6] = '"' + flag.replace('"', '""') + '"'
        return [lines[0], *(",".join(values) for values in rows)] + [",".join(values) for values in rows] * 40

    path = edit(change)
    assert path.stat().st_size > READ_BYTES
    assert set(read(path)["store_and_fwd_flag"].to_pylist()) == {flag}


def test_an_empty_value_is_none_and_a_quoted_one_is_a_text(edit: Edit) -> None:
    """Only text can be empty: an empty number is none, quoted or not."""

    def change(lines: list[str]) -> list[str]:
        for number, flag in ((1, ""), (2, '""')):
            values = lines[number].split(",")
            values[6] = values[10] = flag
            lines[number] = ",".join(values)
        return lines

    found = read(edit(change))
    assert found["store_and_fwd_flag"].to_pylist()[:2] == [None, ""]
    assert found["fare_amount"].to_pylist()[:2] == [None, None]


@pytest.mark.parametrize("long", [False, True])
def test_a_quotation_mark_that_is_never_closed_is_named(edit: Edit, long: bool) -> None:  # noqa: FBT001  a case
    """Everything after it is one value, which no reader should look for in memory."""

    def change(lines: list[str]) -> list[str]:
        values = lines[100].split(",")
        values[6] = '"N'
        return [*lines[:100], ",".join(values), *lines[101:] * (MOST_ROW_BYTES // 15_000 if long else 1)]

    assert "the row that starts in line 101 does not end" in refused(edit(change), TripValueError)


def test_text_in_another_encoding_is_named_with_its_line(edit: Edit) -> None:
    """A guess at the encoding could change a value."""
    path = edit(lambda lines: [line.replace('"N"', "é") for line in lines])
    number = next(n for n, line in enumerate(path.read_text().splitlines(), 1) if "é" in line)
    path.write_bytes(path.read_text().encode("latin-1"))
    assert f"line {number} is not UTF-8" in refused(path, TripValueError)


def test_compressed_csv_is_read(trips: pa.Table, edit: Edit) -> None:
    """The TLC's mirrors have such files; one may consist of several compressed parts."""
    plain = edit(lambda lines: lines)
    content = plain.read_bytes()
    path = plain.with_name(plain.name + ".gz")
    path.write_bytes(gzip.compress(content[:5000]) + gzip.compress(content[5000:]))
    assert read(path).select(TLC_COLUMNS).equals(trips)
    assert TripFile(MONTH, path).sha256 != TripFile(MONTH, plain).sha256


@pytest.mark.parametrize(("change", "kind"), [
    (lambda content: content[:-100], TripFileCutOffError),
    (lambda content: content[:5], TripFileCutOffError),
    (lambda content: content[:2000] + b"\0" * 100 + content[2100:], TripFileUnreadableError),
    (lambda content: content + b"more", TripFileUnreadableError),
    (lambda _: gzip.compress(b""), TripFileEmptyError),
    (lambda _: b"VendorID,tpep_pickup_datetime\n", TripFileUnreadableError),
    (lambda content: gzip.compress(gzip.decompress(content)[:-20]), TripFileCutOffError),
])  # fmt: skip
def test_a_damaged_compressed_file_is_refused(
    edit: Edit, change: Callable[[bytes], bytes], kind: type[TripFileUnreadableError]
) -> None:
    """Damage and an interrupted download show before the first trip is sent."""
    plain = edit(lambda lines: lines)
    path = plain.with_name(plain.name + ".gz")
    path.write_bytes(change(gzip.compress(plain.read_bytes())))
    refused(path, kind)


@pytest.mark.parametrize(
    ("first", "second"),
    [('"N', '"N'), ('"N', 'N"'), ('"', '"'), ('"N', '""N"')],
)
@pytest.mark.parametrize("apart", [1, 5])
def test_rows_between_two_stray_quotation_marks_are_not_lost(edit: Edit, first: str, second: str, apart: int) -> None:
    """They would become the text of a value, and a month would have fewer trips, all of them valid."""

    def change(lines: list[str]) -> list[str]:
        for line, text in ((100, first), (100 + apart, second)):
            values = lines[line].split(",")
            values[6] = text
            lines[line] = ",".join(values)
        return lines

    text = refused(edit(change), TripValueError)
    assert "the row that starts in line 101 " in text


def test_rows_that_end_with_empty_values_are_not_lost_either(edit: Edit) -> None:
    """The second quotation mark is then in an earlier column: the row has more values, and all of those are empty."""

    def change(lines: list[str]) -> list[str]:
        for line, column, text in ((100, 6, '"N'), (101, 4, '1.5"')):
            values = lines[line].split(",")
            values[column] = text
            lines[line] = ",".join([*values[:-2], "", ""])
        return lines

    assert "the row that starts in line 101 " in refused(edit(change), TripValueError)


def test_a_value_with_line_breaks_quotes_and_commas_is_one_value(trips: pa.Table, edit: Edit) -> None:
    """Quotation marks are doubled within a value, and a few commas make no row of it."""

    def change(lines: list[str]) -> list[str]:
        for line in (50, 250):
            values = lines[line].split(",")
            values[6] = '"N, ""so"",\r\n,\n"'
            lines[line] = ",".join(values)
        return lines

    found = read(edit(change))
    assert found.num_rows == ROWS
    assert {found["store_and_fwd_flag"][row].as_py() for row in (49, 249)} == {'N, "so",\r\n,\n'}
    others = [name for name in TLC_COLUMNS if name != "store_and_fwd_flag"]
    assert found.select(others).equals(trips.select(others))
