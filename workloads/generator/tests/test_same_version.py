"""The same version must be the same events, whichever generator sends it."""

import hashlib
from pathlib import Path

from trip_files import MONTH

from generator.event_schema import AVRO_SCHEMA
from generator.month_versions import hash_of_schema
from generator.synthesis import SyntheticTrips
from generator.trip_file import TripFile

EVENTS = {"a0580ac6": "e5d655b4862ef9c9"}
"""Hash of the events below by the schema's part of their version."""

CSV = """\
vendor_name,Trip_Pickup_DateTime,Trip_Dropoff_DateTime,Passenger_Count,Trip_Distance,Start_Lon,Start_Lat,Rate_Code,\
store_and_forward,End_Lon,End_Lat,Payment_Type,Fare_Amt,surcharge,mta_tax,Tip_Amt,Tolls_Amt,Total_Amt,tempo
VTS,2019-01-04 02:52:00,2019-01-04 03:02:00,1,2.63,-73.991957,40.721567,,,-73.993803,40.695922,CASH,8.9,0.5,,0,0,9.4,x
2 ,2019-01-04 02:52:00.5,9999-12-31,1.5,1e400,0,-0.0,1,"Y,",0,0,No ,8.905,NaN,99999999999999999999,.1,+1,1E1,
DDS,10000-01-04 02:52:00,2019-01-04 03:02:00.0001,9007199254740993,9007199254740993,,,,,,,1,0,,,,,0,"a ""b"" "
"""


def test_another_conversion_or_synthesis_is_another_version(tmp_path: Path) -> None:
    """Silver keeps the first arrival of an event: the corrected events of the same version would be its repeats.

    If this fails, the generator makes other events than before. Change the text of ``raw_trip.avsc`` too, for example
    a ``doc``, so that they are of another version; then replace the line in ``EVENTS``.
    """
    file = tmp_path / f"yellow_tripdata_{MONTH}.csv"
    file.write_text(CSV, encoding="utf-8")
    events = hashlib.sha256()
    for source in (TripFile(MONTH, file), SyntheticTrips(MONTH, seed=42, events=10_500)):
        for batch in source.batches():
            events.update(repr(batch.to_pylist()).encode())
    assert {hash_of_schema(AVRO_SCHEMA): events.hexdigest()[:16]} == EVENTS
