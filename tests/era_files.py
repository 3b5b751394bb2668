"""Monthly files in the shape of their time, made from real trips, one for each era of the TLC's columns.

Source:
    docs/tlc-files.md, "Columns by year".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from trip_cases import money, valid_trips

TRIPS = 40
_PICKUP, _DROPOFF = (-73.991957, 40.721567), (-73.993803, 40.695922)
_COORDINATES = {
    "pickup_longitude": _PICKUP[0],
    "pickup_latitude": _PICKUP[1],
    "dropoff_longitude": _DROPOFF[0],
    "dropoff_latitude": _DROPOFF[1],
}
_NAMES_OF_2010 = {
    "VendorID": "vendor_id",
    "tpep_pickup_datetime": "pickup_datetime",
    "tpep_dropoff_datetime": "dropoff_datetime",
    "RatecodeID": "rate_code",
    "extra": "surcharge",
}
_NAMES_OF_2015 = {"RatecodeID": "RateCodeID"}
_SURCHARGES = ("improvement_surcharge", "congestion_surcharge", "Airport_fee")
_ZONES = ("PULocationID", "DOLocationID")


@dataclass(frozen=True)
class EraFile:
    """A month's file, and what the lake must hold of it.

    Args:
        path: The file.
        total: Sum of the totals, in dollars.
        zones: Whether trips have zones; otherwise they have coordinates.
        vendor_id: The vendor of all trips, where the file has names of vendors.
    """

    path: Path
    total: Decimal
    zones: bool
    vendor_id: int | None = None


def parquet_of_2010(folder: Path) -> EraFile:
    """2010-02: times and vendors as text, and the row numbers of an unpublished table."""
    table, total = _trips("2010-02", without=_SURCHARGES, names=_NAMES_OF_2010)
    table = _as_text(table, "pickup_datetime", "dropoff_datetime")
    table = _constant(table, "vendor_id", "CMT")
    table = table.append_column("__index_level_0__", pa.array(range(table.num_rows)))
    return _parquet(table, folder, "2010-02", total, vendor_id=1)


def parquet_of_2012(folder: Path) -> EraFile:
    """2012-07: timestamps, and payments by name."""
    table, total = _trips("2012-07", without=_SURCHARGES, names=_NAMES_OF_2010)
    table = _constant(_constant(table, "payment_type", "CRD"), "vendor_id", "VTS")
    return _parquet(table, folder, "2012-07", total, vendor_id=2)


def csv_of_2014(folder: Path) -> EraFile:
    """2014-06: a byte order mark, blanks before the names, an empty second line."""
    table, total = _trips("2014-06", without=_SURCHARGES, names=_NAMES_OF_2010)
    table = _constant(table, "vendor_id", "CMT")
    lines = _csv(table, header=", ".join(table.column_names))
    text = "\ufeff" + "\n".join([lines[0], "", *lines[1:]]) + "\n"
    return _write(text, folder, "2014-06", total, zones=False, vendor_id=1)


def csv_of_2015(folder: Path) -> EraFile:
    """2015-08: vendors by number, coordinates, and the line ends of Windows."""
    table, total = _trips("2015-08", without=_SURCHARGES[1:], names=_NAMES_OF_2015)
    return _write("\r\n".join([*_csv(table), ""]), folder, "2015-08", total, zones=False)


def csv_of_2016(folder: Path) -> EraFile:
    """2016-09: zones, 17 names, and rows that end with two commas."""
    table, total = _trips("2016-09", without=_SURCHARGES[1:], zones=True)
    lines = _csv(table)
    text = "\r\n".join([lines[0], "", *(f"{line},," for line in lines[1:]), ""])
    return _write(text, folder, "2016-09", total, zones=True)


def parquet_of_2018(folder: Path) -> EraFile:
    """2018-11: zones, and the later surcharges as columns of type null."""
    table, total = _trips("2018-11", without=_SURCHARGES[1:], zones=True)
    for name in _SURCHARGES[1:]:
        table = table.append_column(name, pa.nulls(table.num_rows))
    return _parquet(table, folder, "2018-11", total, zones=True)


ERAS: tuple[Callable[[Path], EraFile], ...] = (
    parquet_of_2010,
    parquet_of_2012,
    csv_of_2014,
    csv_of_2015,
    csv_of_2016,
    parquet_of_2018,
)


def _trips(
    month: str, *, without: tuple[str, ...], names: Mapping[str, str] | None = None, zones: bool = False
) -> tuple[pa.Table, Decimal]:
    table = valid_trips(month, TRIPS)
    total = money(table)
    table = table.drop_columns([*without, *(() if zones else _ZONES)])
    if not zones:
        for name, degrees in _COORDINATES.items():
            table = table.append_column(name, pa.array([degrees] * table.num_rows))
    return table.rename_columns([(names or {}).get(name, name) for name in table.column_names]), total


def _constant(table: pa.Table, name: str, value: str) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array([value] * table.num_rows))


def _as_text(table: pa.Table, *names: str) -> pa.Table:
    for name in names:
        texts = pa.array([str(value) for value in table[name].to_pylist()])
        table = table.set_column(table.schema.get_field_index(name), name, texts)
    return table


def _csv(table: pa.Table, header: str | None = None) -> list[str]:
    """Return the lines of a csv file as the TLC wrote them: no quotes, and nothing for a missing value."""
    columns = [table[name].to_pylist() for name in table.column_names]
    rows = [",".join("" if value is None else str(value) for value in row) for row in zip(*columns, strict=True)]
    return [header or ",".join(table.column_names), *rows]


def _parquet(
    table: pa.Table,
    folder: Path,
    month: str,
    total: Decimal,
    *,
    zones: bool = False,
    vendor_id: int | None = None,
) -> EraFile:
    path = folder / f"yellow_tripdata_{month}.parquet"
    pq.write_table(table, path)
    return EraFile(path, total, zones, vendor_id)


def _write(
    text: str, folder: Path, month: str, total: Decimal, *, zones: bool, vendor_id: int | None = None
) -> EraFile:
    path = folder / f"yellow_tripdata_{month}.csv"
    path.write_bytes(text.encode())
    return EraFile(path, total, zones, vendor_id)
