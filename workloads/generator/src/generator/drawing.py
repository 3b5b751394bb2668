"""Draw valid trips, column by column, from the city's constants.

Columns depend on each other as in reality: the zones set the distance, distance and hour set the time, distance and
time set the fare, the hour sets the extras, and the total is the sum. Money is counted in whole cents until the end,
so that sums are exact.
"""

import datetime as dt
import functools
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from generator import city
from generator.month import Month
from generator.shares import Shares

MONEY_COLUMNS: Final = (
    "fare_amount",
    "extra",
    "mta_tax",
    "tip_amount",
    "tolls_amount",
    "improvement_surcharge",
    "congestion_surcharge",
    "Airport_fee",
    "total_amount",
)
"""Columns that hold cents until they are sent as dollars; the last is the sum of the others."""

HOUR_S: Final = 3600
MINUTE_S: Final = 60
FIFTHS_PER_MILE: Final = 5
MOVING_SHARE: Final = 0.8
"""Share of the distance that the meter counts by distance, because the taxi is not in slow traffic."""

STANDING_SHARE: Final = 0.6
"""Share of the minutes that the meter counts by time."""

LEAST_MILES: Final = 0.1
LEAST_S: Final = 45
MPH_STANDING_START: Final = 7.8
MPH_PER_MILE: Final = 1.0
MPH_LIMIT: Final = 45.0
"""Longer trips are faster, because they use the highways."""

SPEED_SPREAD: Final = 0.3
"""Standard deviation of the logarithm of the speed."""

SATURDAY: Final = 5
PEAK: Final = (16, 20)
NIGHT: Final = (20, 6)

VENDORS: Final = Shares(city.VENDOR_SHARES)
PASSENGERS: Final = Shares(city.PASSENGER_SHARES)
PAYMENTS: Final = Shares(city.PAYMENT_SHARES)
TIPS: Final = Shares(city.TIP_SHARES)

Array = npt.NDArray[Any]
Random = np.random.Generator


def _zones(per_thousand: dict[int, int]) -> Shares:
    others = [zone for zone in range(1, city.ZONE_COUNT + 1) if zone not in per_thousand]
    left_over = (1000 - sum(per_thousand.values())) / len(others)
    return Shares(per_thousand | dict.fromkeys(others, left_over))


ORIGINS: Final = _zones(city.PICKUPS_PER_THOUSAND)
DESTINATIONS: Final = _zones(city.DROPOFFS_PER_THOUSAND)


@dataclass(slots=True)
class TripColumns:
    """Trips by column, under the TLC's names.

    Args:
        values: One value a row; money in cents, distances in miles, times in seconds.
        missing: True for rows without a value, for columns that have such rows.
    """

    values: dict[str, Array]
    missing: dict[str, Array] = field(default_factory=dict)

    def mark_missing(self, name: str, rows: Array) -> None:
        """Remove the values of some rows.

        Args:
            name: The column.
            rows: Row numbers, or one flag a row.
        """
        if name not in self.missing:
            self.missing[name] = np.zeros(len(self.values[name]), np.bool_)
        self.missing[name][rows] = True


def draw_trips(random: Random, month: Month, count: int) -> TripColumns:
    """Draw valid trips of a month.

    Args:
        random: The source of random numbers.
        month: The month of the pickups, which sets the tariff.
        count: Number of trips.

    Returns:
        The trips.
    """
    tariff = city.tariff_of(month)
    pickup, weekday, hour = _draw_pickups(random, month, count)
    origin, destination = ORIGINS.draw(random, count), DESTINATIONS.draw(random, count)
    miles = _draw_miles(random, origin, destination)
    seconds = _draw_seconds(random, miles, hour)
    flat = _jfk_to_manhattan(origin, destination) | _jfk_to_manhattan(destination, origin)
    trips = TripColumns(
        {
            "VendorID": VENDORS.draw(random, count),
            "tpep_pickup_datetime": pickup,
            "tpep_dropoff_datetime": pickup + seconds.astype("timedelta64[s]"),
            "passenger_count": PASSENGERS.draw(random, count),
            "trip_distance": miles,
            "RatecodeID": np.where(flat, city.JFK_RATE, city.STANDARD_RATE),
            "store_and_fwd_flag": np.where(random.random(count) < city.STORED_SHARE, b"Y", b"N"),
            "PULocationID": origin,
            "DOLocationID": destination,
            "payment_type": PAYMENTS.draw(random, count),
            "fare_amount": np.where(flat, tariff.jfk_flat, _metered(tariff, miles, seconds)),
            "extra": _extras(tariff, weekday, hour),
            "mta_tax": np.full(count, city.MTA_TAX),
        }
    )
    _add_surcharges(random, trips, tariff)
    _add_incomplete(random, trips, tariff)
    _add_tip_and_total(random, trips)
    return trips


def _draw_pickups(random: Random, month: Month, count: int) -> tuple[Array, Array, Array]:
    """Draw pickup times with the city's distribution.

    Returns:
        Pickup times in seconds, weekdays (0 is Monday) and hours.
    """
    hour_of_month = _hours_of(month).draw(random, count)
    seconds = hour_of_month * HOUR_S + random.integers(HOUR_S, size=count)
    pickup = np.datetime64(month.first_day, "s") + seconds.astype("timedelta64[s]")
    weekday_of_trip = (hour_of_month // 24 + month.first_day.weekday()) % 7
    return pickup, weekday_of_trip, hour_of_month % 24


@functools.cache
def _hours_of(month: Month) -> Shares:
    """Return the month's shares of trips by hour, numbered from 0."""
    hours: dict[int, float] = {}
    for day in range(month.day_count):
        weekday = (month.first_day + dt.timedelta(days=day)).weekday()
        by_hour = city.TRIPS_BY_WEEKEND_HOUR if weekday >= SATURDAY else city.TRIPS_BY_HOUR
        for hour, share in enumerate(by_hour):
            hours[day * 24 + hour] = city.TRIPS_BY_WEEKDAY[weekday] * share / sum(by_hour)
    return Shares(hours)


def _draw_miles(random: Random, origin: Array, destination: Array) -> Array:
    to_jfk = (origin == city.JFK) | (destination == city.JFK)
    to_laguardia = (origin == city.LAGUARDIA) | (destination == city.LAGUARDIA)
    median, spread = (
        np.select([to_jfk, to_laguardia], [jfk, laguardia], in_city)
        for in_city, laguardia, jfk in zip(city.CITY_MILES, city.LAGUARDIA_MILES, city.JFK_MILES, strict=True)
    )
    miles: Array = median * np.exp(spread * random.standard_normal(len(origin)))
    return miles.clip(LEAST_MILES).round(2)


def _draw_seconds(random: Random, miles: Array, hour: Array) -> Array:
    mph = (MPH_STANDING_START + MPH_PER_MILE * miles) * np.array(city.SPEED_BY_HOUR)[hour]
    mph *= np.exp(SPEED_SPREAD * random.standard_normal(len(miles)))
    seconds: Array = miles / np.minimum(mph, MPH_LIMIT) * HOUR_S
    return seconds.clip(LEAST_S).astype(np.int64)


def _jfk_to_manhattan(origin: Array, destination: Array) -> Array:
    to_manhattan: Array = np.isin(destination, list(city.MANHATTAN))
    to_manhattan &= origin == city.JFK
    return to_manhattan


def _metered(tariff: city.Tariff, miles: Array, seconds: Array) -> Array:
    units: Array = FIFTHS_PER_MILE * MOVING_SHARE * miles + STANDING_SHARE * seconds / MINUTE_S
    return units.astype(np.int64) * tariff.unit + tariff.flag_drop


def _extras(tariff: city.Tariff, weekday: Array, hour: Array) -> Array:
    peak = (weekday < SATURDAY) & (hour >= PEAK[0]) & (hour < PEAK[1])
    night = (hour >= NIGHT[0]) | (hour < NIGHT[1])
    return np.select([peak, night], [tariff.peak, tariff.night], 0)


def _add_surcharges(random: Random, trips: TripColumns, tariff: city.Tariff) -> None:
    values = trips.values
    origin, destination = values["PULocationID"], values["DOLocationID"]
    count = len(origin)
    airports = [city.JFK, city.LAGUARDIA]
    from_airport = np.isin(origin, airports)
    core = list(city.MANHATTAN - city.NORTH_OF_96TH_STREET)
    in_core = np.isin(origin, core) | np.isin(destination, core)
    airport_trip = from_airport | np.isin(destination, airports)
    toll_share = np.where(airport_trip, city.AIRPORT_TOLL_SHARE, city.TOLL_SHARE)
    values["tolls_amount"] = np.where(random.random(count) < toll_share, tariff.toll, 0)
    for name, cents, where in (
        ("improvement_surcharge", tariff.improvement, True),
        ("congestion_surcharge", tariff.congestion, in_core),
        ("Airport_fee", tariff.airport, from_airport),
    ):
        values[name] = np.where(where, cents or 0, np.zeros(count, np.int64))
        if cents is None:
            trips.mark_missing(name, np.ones(count, np.bool_))


def _add_incomplete(random: Random, trips: TripColumns, tariff: city.Tariff) -> None:
    """Remove the values that are missing in the TLC's files since 2020, for trips reported by another route."""
    if not tariff.incomplete_share:
        return
    incomplete = random.random(len(trips.values["VendorID"])) < tariff.incomplete_share
    trips.values["payment_type"][incomplete] = city.UNKNOWN_PAYMENT
    for name in ("passenger_count", "RatecodeID", "store_and_fwd_flag"):
        trips.mark_missing(name, incomplete)
    for name in ("congestion_surcharge", "Airport_fee"):
        trips.values[name][incomplete] = 0
        trips.mark_missing(name, incomplete)


def _add_tip_and_total(random: Random, trips: TripColumns) -> None:
    values = trips.values
    charges = [name for name in MONEY_COLUMNS if name not in {"tip_amount", "total_amount"}]
    bill = np.sum([values[name] for name in charges], axis=0)
    tip = (bill * TIPS.draw(random, len(bill))).astype(np.int64)
    values["tip_amount"] = np.where(values["payment_type"] == city.CARD, tip, 0)
    values["total_amount"] = bill + values["tip_amount"]
