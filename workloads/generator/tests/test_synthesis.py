from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from generator import city
from generator.event_schema import TIMESTAMP
from generator.month import Month
from generator.synthesis import SyntheticTrips

JANUARY = Month(2024, 1)
CHARGES = [
    "fare_amount",
    "extra",
    "mta_tax",
    "tip_amount",
    "tolls_amount",
    "improvement_surcharge",
    "congestion_surcharge",
    "Airport_fee",
]


def trips_of(month: Month = JANUARY, *, seed: int = 42, events: int = 20_000) -> pa.Table:
    """Return trips as one table."""
    return pa.Table.from_batches(SyntheticTrips(month, seed=seed, events=events).batches())


@pytest.fixture(scope="module")
def january() -> pa.Table:
    """A month of twenty thousand events."""
    return trips_of()


def valid(trips: pa.Table) -> pa.Table:
    """Return the trips that silver's rules keep."""
    return trips.filter(
        (pc.field("fare_amount") >= 0)
        & (pc.field("trip_distance") >= 0)
        & pc.field("tpep_dropoff_datetime").is_valid()
        & (pc.field("tpep_pickup_datetime") >= pa.scalar("2024-01-01").cast(TIMESTAMP))
        & (pc.field("tpep_pickup_datetime") < pa.scalar("2024-02-01").cast(TIMESTAMP))
    )


def share(trips: pa.Table, condition: pc.Expression) -> float:
    """Return the share of trips that meet a condition."""
    return float(trips.filter(condition).num_rows / trips.num_rows)


def test_the_same_seed_gives_the_same_trips_and_ids(january: pa.Table) -> None:
    """Materializing a month again must change nothing downstream."""
    assert trips_of().equals(january)


def test_another_seed_or_month_gives_other_trips(january: pa.Table) -> None:
    """Otherwise months would be copies of each other."""
    assert not trips_of(seed=43).drop_columns(["event_id"]).equals(january.drop_columns(["event_id"]))
    assert not trips_of(Month(2024, 3))["trip_distance"].equals(january["trip_distance"])


def test_fewer_events_are_the_first_of_more(january: pa.Table) -> None:
    """A small run is a sample of the large one."""
    assert trips_of(events=12_345).equals(january.slice(0, 12_345))


def test_the_numbers_of_duplicates_and_invalid_trips_are_known(january: pa.Table) -> None:
    """Silver's result is checked against these numbers."""
    faults = SyntheticTrips(JANUARY, seed=42, events=20_000).faults
    assert faults == (200, 400)
    assert january.num_rows - len(set(january["event_id"].to_pylist())) == faults.duplicates
    assert january.num_rows - valid(january).num_rows == faults.invalid


@pytest.mark.parametrize("events", [1, 50, 51, 99, 100, 163, 9_999, 10_001, 10_077])
def test_the_numbers_are_right_for_any_number_of_events(events: int) -> None:
    """The cases include numbers that cut a group or a block of trips."""
    source = SyntheticTrips(JANUARY, seed=5, events=events)
    trips = trips_of(seed=5, events=events)
    assert trips.num_rows == events
    assert events - len(set(trips["event_id"].to_pylist())) == source.faults.duplicates
    assert events - valid(trips).num_rows == source.faults.invalid


def test_a_repeated_event_id_carries_the_same_valid_trip(january: pa.Table) -> None:
    """The result is the same whichever of the two is kept."""
    rows = january.to_pylist()
    by_id: dict[str, dict[str, object]] = {}
    repeats = 0
    for row in rows:
        if (earlier := by_id.setdefault(row["event_id"], row)) is not row:
            assert earlier == row
            assert row["fare_amount"] > 0
            repeats += 1
    assert repeats == 200


def test_no_two_valid_events_share_a_natural_key(january: pa.Table) -> None:
    """Otherwise silver would drop one of them, and its row count could not be predicted."""
    key = ["VendorID", "tpep_pickup_datetime", "tpep_dropoff_datetime", "PULocationID", "DOLocationID", "total_amount"]
    trips = valid(january)
    assert trips.group_by(key).aggregate([]).num_rows == trips.group_by("event_id").aggregate([]).num_rows


def test_each_kind_of_invalid_trip_occurs_and_breaks_only_one_rule(january: pa.Table) -> None:
    """Each rejection then has exactly one possible reason."""
    broken: Counter[tuple[str, ...]] = Counter()
    for row in january.to_pylist():
        pickup, dropoff = row["tpep_pickup_datetime"], row["tpep_dropoff_datetime"]
        faults = (
            *(["time"] if pickup is None or dropoff is None else []),
            *(["month"] if pickup is not None and (pickup.year, pickup.month) != (2024, 1) else []),
            *(["distance"] if row["trip_distance"] < 0 else []),
            *(["fare"] if row["fare_amount"] < 0 else []),
        )
        broken[faults] += 1
    assert broken == {(): 19_600, ("time",): 100, ("month",): 100, ("distance",): 100, ("fare",): 100}
    missing = [january[name].null_count for name in ("tpep_pickup_datetime", "tpep_dropoff_datetime")]
    assert missing == [50, 50]


def test_fares_add_up_to_the_cent(january: pa.Table) -> None:
    """The marts' sums are compared with each other."""
    for row in january.to_pylist():
        assert round(sum(row[name] or 0 for name in CHARGES), 2) == row["total_amount"]


def test_valid_trips_end_after_they_begin_within_a_taxis_speed(january: pa.Table) -> None:
    """The metrics divide by the duration."""
    for row in valid(january).to_pylist():
        hours = (row["tpep_dropoff_datetime"] - row["tpep_pickup_datetime"]).total_seconds() / 3600
        assert hours > 0
        assert 0 < row["trip_distance"] / hours < 46


def test_trips_look_like_the_citys(january: pa.Table) -> None:
    """Dashboards on synthetic months should look like those on real months."""
    trips = valid(january)
    hour, weekday = pc.hour(trips["tpep_pickup_datetime"]), pc.day_of_week(trips["tpep_pickup_datetime"])
    hours = Counter(hour.to_pylist())
    assert hours[18] > 4 * hours[4]
    workdays = Counter(h for h, day in zip(hour.to_pylist(), weekday.to_pylist(), strict=True) if day < 5)
    weekends = Counter(h for h, day in zip(hour.to_pylist(), weekday.to_pylist(), strict=True) if day >= 5)
    assert weekends[1] / weekends.total() > 2 * workdays[1] / workdays.total()
    zones = Counter(trips["PULocationID"].to_pylist())
    assert min(zones) >= 1
    assert max(zones) <= city.ZONE_COUNT
    assert zones[237] > 20 * zones[200]
    assert 1.5 < pc.approximate_median(trips["trip_distance"]).as_py() < 2.5
    assert 0.6 < share(trips, pc.field("payment_type") == city.CARD) < 0.8


def test_only_card_payments_have_a_tip(january: pa.Table) -> None:
    """The TLC's files contain no cash tips."""
    trips = valid(january)
    assert share(trips.filter(pc.field("payment_type") != city.CARD), pc.field("tip_amount") > 0) == 0
    assert share(trips.filter(pc.field("payment_type") == city.CARD), pc.field("tip_amount") > 0) > 0.9


def test_surcharges_follow_the_tariff_of_the_month() -> None:
    """A surcharge before its introduction would be an error in the marts."""
    before = trips_of(Month(2014, 6), events=5000)
    for name in ("improvement_surcharge", "congestion_surcharge", "Airport_fee"):
        assert before[name].null_count == 5000
    today = valid(trips_of())
    paid = today.filter(pc.field("congestion_surcharge").is_valid())
    assert set(paid["congestion_surcharge"].to_pylist()) == {0.0, 2.5}
    airports = paid.filter(pc.field("PULocationID").isin([city.JFK, city.LAGUARDIA]))
    assert set(airports["Airport_fee"].to_pylist()) == {1.75}


def test_some_trips_since_2020_lack_what_the_tlc_lacks() -> None:
    """The pipeline has to handle such trips."""
    assert trips_of(Month(2019, 12), events=5000)["passenger_count"].null_count == 0
    trips = trips_of(events=5000).filter(pc.field("passenger_count").is_null())
    assert 50 < trips.num_rows < 300
    assert set(trips["payment_type"].to_pylist()) == {city.UNKNOWN_PAYMENT}
    assert trips["store_and_fwd_flag"].null_count == trips.num_rows


def test_event_ids_name_month_seed_and_row(january: pa.Table) -> None:
    """An event can be traced to its row, across blocks."""
    ids = january["event_id"].to_pylist()
    assert ids[0] == "2024-01.s42.000000001"
    assert trips_of(seed=7, events=10_100)["event_id"][10_040].as_py() == "2024-01.s7.000010041"


@pytest.mark.parametrize("month", [Month(2023, 2), Month(2024, 2), Month(2011, 12)], ids=str)
def test_pickups_cover_every_day_of_the_month(month: Month) -> None:
    """This includes leap years."""
    pickups = trips_of(month, events=5000)["tpep_pickup_datetime"].to_pylist()
    days = {p.date() for p in pickups if p is not None and (p.year, p.month) == (month.year, month.number)}
    assert len(days) == month.day_count


def test_the_earliest_tariff_serves_the_months_before_it() -> None:
    """Each change takes effect in its month."""
    assert city.tariff_of(Month(2001, 1)) == city.TARIFFS[Month(2009, 1)]
    assert city.tariff_of(Month(2019, 1)).congestion is None
    assert city.tariff_of(Month(2019, 2)).congestion == 250
