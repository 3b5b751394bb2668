-- Grain: cleaned_trips one row a trip (trip_id), rejected_trips one row a rejected event (event_id),
--     month_counts one row a month, with the fates of its bronze rows.
-- Rerun: creates the tables that are missing, in their first version; the files in migrations add the later columns.
CREATE TABLE IF NOT EXISTS lake.silver.cleaned_trips (
    trip_id STRING NOT NULL COMMENT 'MD5 of the natural key; its text is described in silver_clean.sql',
    event_id STRING NOT NULL COMMENT 'Event that the row was made from',
    trip_month STRING NOT NULL COMMENT 'Month of the pickup, yyyy-MM',
    pickup_date DATE NOT NULL COMMENT 'Day of the pickup in New York',
    pickup_at TIMESTAMP(6) NOT NULL COMMENT 'When the meter was engaged, New York wall clock',
    dropoff_at TIMESTAMP(6) NOT NULL COMMENT 'When the meter was disengaged, New York wall clock',
    vendor_id INT COMMENT 'Provider of the record',
    passenger_count INT COMMENT 'Passengers as entered by the driver',
    trip_distance_miles DOUBLE NOT NULL COMMENT 'Distance by the taximeter, miles',
    rate_code_id INT COMMENT 'Rate in force at the end of the trip',
    store_and_forward_flag STRING COMMENT 'Y if the record was held in the vehicle because it had no connection',
    pickup_location_id INT COMMENT 'Taxi zone of the pickup',
    dropoff_location_id INT COMMENT 'Taxi zone of the dropoff',
    payment_type_id INT COMMENT 'How the passenger paid',
    fare_amount_usd DECIMAL(10, 2) NOT NULL COMMENT 'Time and distance fare, US dollars',
    extra_usd DECIMAL(10, 2) COMMENT 'Extras and surcharges, US dollars',
    mta_tax_usd DECIMAL(10, 2) COMMENT 'MTA tax, US dollars',
    tip_amount_usd DECIMAL(10, 2) COMMENT 'Tip paid by card, US dollars',
    tolls_amount_usd DECIMAL(10, 2) COMMENT 'Tolls, US dollars',
    improvement_surcharge_usd DECIMAL(10, 2) COMMENT 'Improvement surcharge, US dollars',
    total_amount_usd DECIMAL(10, 2) COMMENT 'Total charged without cash tips, US dollars',
    congestion_surcharge_usd DECIMAL(10, 2) COMMENT 'Congestion surcharge, US dollars',
    airport_fee_usd DECIMAL(10, 2) COMMENT 'Airport fee, US dollars',
    ingested_at TIMESTAMP(6) NOT NULL COMMENT 'When bronze ingested the event, UTC'
) PARTITIONED BY (trip_month) WITH (
    'format-version' = '2',
    'write.distribution-mode' = 'none',
    'write.metadata.delete-after-commit.enabled' = 'true',
    'write.metadata.previous-versions-max' = '50'
);

CREATE TABLE IF NOT EXISTS lake.silver.rejected_trips (
    event_id STRING NOT NULL COMMENT 'Event that was rejected',
    trip_month STRING NOT NULL COMMENT 'Month of the trip according to the sender, yyyy-MM',
    sent_at TIMESTAMP(6) COMMENT 'When the generator created the event, UTC',
    `VendorID` BIGINT COMMENT 'As received',
    tpep_pickup_datetime TIMESTAMP(6) COMMENT 'As received; New York wall clock',
    tpep_dropoff_datetime TIMESTAMP(6) COMMENT 'As received; New York wall clock',
    passenger_count BIGINT COMMENT 'As received',
    trip_distance DOUBLE COMMENT 'As received; miles',
    `RatecodeID` BIGINT COMMENT 'As received',
    store_and_fwd_flag STRING COMMENT 'As received',
    `PULocationID` BIGINT COMMENT 'As received',
    `DOLocationID` BIGINT COMMENT 'As received',
    payment_type BIGINT COMMENT 'As received',
    fare_amount DOUBLE COMMENT 'As received; US dollars',
    extra DOUBLE COMMENT 'As received; US dollars',
    mta_tax DOUBLE COMMENT 'As received; US dollars',
    tip_amount DOUBLE COMMENT 'As received; US dollars',
    tolls_amount DOUBLE COMMENT 'As received; US dollars',
    improvement_surcharge DOUBLE COMMENT 'As received; US dollars',
    total_amount DOUBLE COMMENT 'As received; US dollars',
    congestion_surcharge DOUBLE COMMENT 'As received; US dollars',
    `Airport_fee` DOUBLE COMMENT 'As received; US dollars',
    kafka_topic_id STRING NOT NULL COMMENT 'Id of the topic the record came from',
    kafka_partition INT NOT NULL COMMENT 'Partition the record was read from',
    kafka_offset BIGINT NOT NULL COMMENT 'Offset of the record in its partition',
    kafka_timestamp TIMESTAMP(6) COMMENT 'Time of the record in Kafka, UTC',
    ingested_at TIMESTAMP(6) NOT NULL COMMENT 'When bronze ingested the event, UTC',
    rejection_reason STRING NOT NULL COMMENT 'The first rule that the trip breaks; see silver_clean.sql'
) PARTITIONED BY (trip_month) WITH (
    'format-version' = '2',
    'write.distribution-mode' = 'none',
    'write.metadata.delete-after-commit.enabled' = 'true',
    'write.metadata.previous-versions-max' = '50'
);

CREATE TABLE IF NOT EXISTS lake.silver.month_counts (
    trip_month STRING NOT NULL COMMENT 'Month counted, yyyy-MM',
    bronze_snapshot_id BIGINT NOT NULL COMMENT 'Snapshot of bronze.raw_trips that was read',
    bronze_rows BIGINT NOT NULL COMMENT 'Rows of the month in that snapshot',
    repeated_events BIGINT NOT NULL COMMENT 'Rows dropped because an earlier row has their event id',
    rejected_rows BIGINT NOT NULL COMMENT 'Rows that went to rejected_trips',
    repeated_trips BIGINT NOT NULL COMMENT 'Rows dropped in favour of a later row of the same natural key',
    cleaned_rows BIGINT NOT NULL COMMENT 'Rows that went to cleaned_trips',
    cleaned_offset_sum BIGINT NOT NULL COMMENT 'Sum of the Kafka offsets of the cleaned rows: part of the fingerprint',
    cleaned_checksum BIGINT NOT NULL COMMENT 'Sum of a hash of partition and offset of the cleaned rows: the other part'
) PARTITIONED BY (trip_month) WITH (
    'format-version' = '2',
    'write.distribution-mode' = 'none',
    'write.metadata.delete-after-commit.enabled' = 'true',
    'write.metadata.previous-versions-max' = '50'
);
