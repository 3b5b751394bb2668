"""Constants from which months of yellow taxi trips are synthesised.

Shares were counted in the TLC's trips of January and February 2019; fares and surcharges follow the TLC's published
tariff, simplified to whole months.
"""

from dataclasses import dataclass
from typing import Final

from generator.month import Month

ZONE_COUNT: Final = 263
"""Taxi zones have the ids 1 to 263; 264 and 265 stand for unknown zones and places outside the city."""

JFK: Final = 132
LAGUARDIA: Final = 138
# fmt: off
MANHATTAN: Final = frozenset({
    4, 12, 13, 24, 41, 42, 43, 45, 48, 50, 68, 74, 75, 79, 87, 88, 90, 100, 103, 104, 105, 107, 113,
    114, 116, 120, 125, 127, 128, 137, 140, 141, 142, 143, 144, 148, 151, 152, 153, 158, 161, 162,
    163, 164, 166, 170, 186, 194, 202, 209, 211, 224, 229, 230, 231, 232, 233, 234, 236, 237, 238,
    239, 243, 244, 246, 249, 261, 262, 263,
})
"""Zones of the borough of Manhattan."""

NORTH_OF_96TH_STREET: Final = frozenset({
    24, 41, 42, 74, 116, 120, 127, 128, 151, 152, 153, 166, 194, 202, 243, 244,
})
"""Manhattan zones outside the congestion surcharge's area."""

PICKUPS_PER_THOUSAND: Final = {
    7: 2, 13: 8, 41: 3, 43: 13, 48: 33, 50: 9, 68: 22, 74: 4, 75: 7, 79: 24, 87: 6, 88: 4, 90: 16,
    100: 19, 107: 23, 113: 16, 114: 14, 125: 6, 132: 25, 137: 11, 138: 23, 140: 18, 141: 24, 142: 31,
    143: 14, 144: 10, 148: 11, 151: 10, 158: 10, 161: 41, 162: 38, 163: 26, 164: 23, 166: 6, 170: 31,
    186: 37, 211: 7, 229: 22, 230: 35, 231: 15, 233: 13, 234: 31, 236: 40, 237: 46, 238: 21, 239: 26,
    246: 15, 249: 19, 261: 5, 262: 13, 263: 20,
}
"""Zones where many trips start; the other zones share the rest."""

DROPOFFS_PER_THOUSAND: Final = {
    1: 2, 4: 4, 7: 4, 13: 8, 24: 4, 33: 3, 41: 6, 42: 3, 43: 13, 48: 26, 50: 11, 68: 22, 74: 8, 75: 12,
    79: 22, 87: 8, 88: 4, 90: 16, 100: 15, 107: 21, 113: 13, 114: 11, 116: 3, 125: 5, 132: 6, 137: 16,
    138: 9, 140: 19, 141: 27, 142: 28, 143: 14, 144: 9, 145: 3, 148: 10, 151: 9, 158: 10, 161: 38,
    162: 28, 163: 25, 164: 21, 166: 8, 170: 34, 181: 3, 186: 25, 209: 3, 211: 7, 224: 5, 226: 2,
    229: 20, 230: 28, 231: 17, 232: 5, 233: 13, 234: 27, 236: 42, 237: 38, 238: 23, 239: 26, 244: 4,
    246: 19, 249: 17, 255: 3, 261: 4, 262: 13, 263: 19,
}
"""Zones where many trips end; the other zones share the rest."""

TRIPS_BY_WEEKDAY: Final = (125, 152, 154, 161, 150, 139, 119)
"""Relative number of trips, Monday to Sunday."""

TRIPS_BY_HOUR: Final = (
    17, 12, 7, 5, 6, 12, 26, 48, 56, 53, 49, 50, 53, 50, 55, 55, 54, 61, 67, 66, 59, 54, 51, 34,
)
"""Relative number of trips in each hour, Monday to Friday."""

TRIPS_BY_WEEKEND_HOUR: Final = (
    52, 41, 30, 21, 14, 7, 11, 15, 25, 37, 45, 52, 56, 60, 59, 57, 58, 56, 67, 57, 48, 44, 48, 41,
)
"""Relative number of trips in each hour, Saturday and Sunday."""

SPEED_BY_HOUR: Final = (
    1.45, 1.5, 1.6, 1.7, 1.9, 1.9, 1.6, 1.2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0,
    1.1, 1.2, 1.25, 1.3, 1.35,
)
"""A taxi's speed in each hour, relative to the speed by day."""
# fmt: on

CITY_MILES: Final = (1.7, 0.75)
LAGUARDIA_MILES: Final = (9.5, 0.25)
JFK_MILES: Final = (17.0, 0.15)
"""Median and standard deviation of the logarithm."""

VENDOR_SHARES: Final = {1: 0.38, 2: 0.62}
PASSENGER_SHARES: Final = {1: 0.70, 2: 0.15, 3: 0.04, 4: 0.02, 5: 0.04, 6: 0.03, 0: 0.02}
PAYMENT_SHARES: Final = {1: 0.730, 2: 0.264, 3: 0.004, 4: 0.002}
TIP_SHARES: Final = {0.20: 0.46, 0.25: 0.19, 0.15: 0.13, 0.10: 0.10, 0.30: 0.08, 0.0: 0.04}
"""Tips of card payments, as a share of the bill."""

STORED_SHARE: Final = 0.005
TOLL_SHARE: Final = 0.01
AIRPORT_TOLL_SHARE: Final = 0.35
CARD: Final = 1
UNKNOWN_PAYMENT: Final = 0
STANDARD_RATE: Final = 1
JFK_RATE: Final = 2


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of a trip, in cents; None if not levied yet, which leaves the column empty.

    Args:
        flag_drop: Charge at the start.
        unit: Charge for each fifth of a mile, and for each minute of standing.
        peak: Extra from 16:00 to 20:00 on weekdays.
        night: Extra from 20:00 to 06:00.
        jfk_flat: Flat fare between JFK and Manhattan.
        toll: Toll of the usual bridge or tunnel.
        improvement: Improvement surcharge.
        congestion: Surcharge for trips that touch Manhattan south of 96th Street.
        airport: Fee for pickups at the two airports.
        incomplete_share: Share of trips without passenger count, rate code and store flag, 0 to 1.
    """

    flag_drop: int
    unit: int
    peak: int
    night: int
    jfk_flat: int
    toll: int
    improvement: int | None = None
    congestion: int | None = None
    airport: int | None = None
    incomplete_share: float = 0.0


MTA_TAX: Final = 50

TARIFFS: Final = {
    Month(2009, 1): Tariff(250, 40, 100, 50, 4500, 480),
    Month(2012, 9): Tariff(250, 50, 100, 50, 5200, 533),
    Month(2015, 1): Tariff(250, 50, 100, 50, 5200, 554, improvement=30),
    Month(2019, 2): Tariff(250, 50, 100, 50, 5200, 576, improvement=30, congestion=250),
    Month(2020, 1): Tariff(250, 50, 100, 50, 5200, 612, 30, 250, incomplete_share=0.03),
    Month(2022, 5): Tariff(250, 50, 100, 50, 5200, 655, 30, 250, 125, 0.03),
    Month(2023, 1): Tariff(300, 70, 250, 100, 7000, 694, 100, 250, 175, 0.03),
}
"""The tariffs, by the month in which each starts."""


def tariff_of(month: Month) -> Tariff:
    """Return the tariff of a month; months before the first tariff have the first."""
    return TARIFFS[max((start for start in TARIFFS if start <= month), default=min(TARIFFS))]
