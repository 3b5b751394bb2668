-- Grain: appends one row for each committed record between the source's offsets.
-- Rerun: appends the same rows again. Before each submission the step therefore reads where the table stopped, and
--     makes the job's id from those offsets, so that the JobManager refuses a second job with the same start.
SET 'pipeline.name' = '${job_name}';

SET '$$internal.pipeline.job-id' = '${job_id}';

INSERT INTO lake.bronze.raw_trips
SELECT
    event_id,
    trip_month,
    sent_at,
    `VendorID`,
    tpep_pickup_datetime,
    tpep_dropoff_datetime,
    passenger_count,
    trip_distance,
    `RatecodeID`,
    store_and_fwd_flag,
    `PULocationID`,
    `DOLocationID`,
    payment_type,
    fare_amount,
    extra,
    mta_tax,
    tip_amount,
    tolls_amount,
    improvement_surcharge,
    total_amount,
    congestion_surcharge,
    `Airport_fee`,
    '${topic_id}' AS kafka_topic_id,
    kafka_partition,
    kafka_offset,
    CAST(kafka_timestamp AS TIMESTAMP(6)) AS kafka_timestamp,
    TIMESTAMP '${ingested_at}' AS ingested_at,
    undecodable_reason,
    undecodable_value,
    cbd_congestion_fee,
    vendor_name,
    payment_name,
    pickup_longitude,
    pickup_latitude,
    dropoff_longitude,
    dropoff_latitude,
    unknown_columns,
    values_out_of_range,
    source_version
FROM raw_trips_source;
