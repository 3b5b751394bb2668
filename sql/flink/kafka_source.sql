-- Grain: one row for each committed record between the given offsets.
-- Rerun: a temporary table of the session; with the same offsets, a second read returns the same rows.
--
-- The writer's schema is resolved against these columns by name: a column that the writer does not send is NULL, unless
-- it is required. A record that cannot be decoded, or whose month is none from 2009-01 to that of its sending, is NULL
-- in all columns but the last two and the metadata.
DROP TEMPORARY TABLE IF EXISTS raw_trips_source;

CREATE TEMPORARY TABLE raw_trips_source (
    event_id STRING,
    trip_month STRING,
    sent_at TIMESTAMP(3),
    `VendorID` BIGINT,
    tpep_pickup_datetime TIMESTAMP(3),
    tpep_dropoff_datetime TIMESTAMP(3),
    passenger_count BIGINT,
    trip_distance DOUBLE,
    `RatecodeID` BIGINT,
    store_and_fwd_flag STRING,
    `PULocationID` BIGINT,
    `DOLocationID` BIGINT,
    payment_type BIGINT,
    fare_amount DOUBLE,
    extra DOUBLE,
    mta_tax DOUBLE,
    tip_amount DOUBLE,
    tolls_amount DOUBLE,
    improvement_surcharge DOUBLE,
    total_amount DOUBLE,
    congestion_surcharge DOUBLE,
    `Airport_fee` DOUBLE,
    cbd_congestion_fee DOUBLE,
    vendor_name STRING,
    payment_name STRING,
    pickup_longitude DOUBLE,
    pickup_latitude DOUBLE,
    dropoff_longitude DOUBLE,
    dropoff_latitude DOUBLE,
    unknown_columns MAP<STRING, STRING>,  -- noqa: LT01
    values_out_of_range MAP<STRING, STRING>,  -- noqa: LT01
    source_version STRING,
    undecodable_reason STRING,
    undecodable_value BYTES,
    kafka_partition INT METADATA FROM 'partition' VIRTUAL,
    kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    kafka_timestamp TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
    'connector' = 'kafka',
    'topic' = '${topic}',
    'properties.bootstrap.servers' = '${bootstrap_servers}',
    'properties.isolation.level' = 'read_committed',
    'scan.startup.mode' = 'specific-offsets',
    'scan.startup.specific-offsets' = '${start_offsets}',
    'scan.bounded.mode' = 'specific-offsets',
    'scan.bounded.specific-offsets' = '${end_offsets}',
    'value.format' = 'avro-confluent-quarantine',
    'value.avro-confluent-quarantine.url' = '${schema_registry_url}',
    'value.avro-confluent-quarantine.required-columns' = 'event_id;trip_month;sent_at',
    'value.avro-confluent-quarantine.month-column' = 'trip_month',
    'value.avro-confluent-quarantine.sent-at-column' = 'sent_at',
    'value.avro-confluent-quarantine.first-month' = '2009-01',
    'value.avro-confluent-quarantine.reason-column' = 'undecodable_reason',
    'value.avro-confluent-quarantine.value-column' = 'undecodable_value'
);
