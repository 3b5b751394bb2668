-- Grain: replaces one month of cleaned_trips, rejected_trips and month_counts, in one job.
-- Rerun: replaces each partition as a whole, with the same rows. Flink does not replace a partition that gets no row;
--     the step itself deletes such a month.
SET 'pipeline.name' = '${job_name}';

SET '$$internal.pipeline.job-id' = '${job_id}';

-- The linter's Flink dialect does not support INSERT OVERWRITE.
EXECUTE STATEMENT SET  -- noqa: PRS
BEGIN

INSERT OVERWRITE lake.silver.cleaned_trips
SELECT
    trip_id,
    event_id,
    trip_month,
    CAST(tpep_pickup_datetime AS DATE) AS pickup_date,
    tpep_pickup_datetime AS pickup_at,
    tpep_dropoff_datetime AS dropoff_at,
    vendor_id,
    CAST(passenger_count AS INT) AS passenger_count,
    trip_distance AS trip_distance_miles,
    CAST(`RatecodeID` AS INT) AS rate_code_id,
    store_and_fwd_flag AS store_and_forward_flag,
    CAST(`PULocationID` AS INT) AS pickup_location_id,
    CAST(`DOLocationID` AS INT) AS dropoff_location_id,
    payment_type_id,
    fare_amount_usd,
    extra_usd,
    mta_tax_usd,
    tip_amount_usd,
    tolls_amount_usd,
    improvement_surcharge_usd,
    total_amount_usd,
    congestion_surcharge_usd,
    airport_fee_usd,
    ingested_at,
    cbd_congestion_fee_usd,
    pickup_longitude,
    pickup_latitude,
    dropoff_longitude,
    dropoff_latitude
FROM classified_trips
WHERE fate = 'cleaned';

INSERT OVERWRITE lake.silver.rejected_trips
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
    kafka_topic_id,
    kafka_partition,
    kafka_offset,
    kafka_timestamp,
    ingested_at,
    rejection_reason,
    cbd_congestion_fee,
    vendor_name,
    payment_name,
    pickup_longitude,
    pickup_latitude,
    dropoff_longitude,
    dropoff_latitude,
    unknown_columns,
    values_out_of_range
FROM classified_trips
WHERE fate = 'rejected';

INSERT OVERWRITE lake.silver.month_counts
SELECT
    '${month}' AS trip_month,
    CAST('${bronze_snapshot_id}' AS BIGINT) AS bronze_snapshot_id,
    COUNT(*) + CAST('${superseded_rows}' AS BIGINT) AS bronze_rows,
    COUNT(*) FILTER (WHERE fate = 'repeated event') AS repeated_events,
    COUNT(*) FILTER (WHERE fate = 'rejected') AS rejected_rows,
    COUNT(*) FILTER (WHERE fate = 'repeated trip') AS repeated_trips,
    COUNT(*) FILTER (WHERE fate = 'cleaned') AS cleaned_rows,
    COALESCE(SUM(kafka_offset) FILTER (WHERE fate = 'cleaned'), 0) AS cleaned_offset_sum,
    COALESCE(
        SUM(MOD(kafka_offset * 7919 + kafka_partition * 104729, 1000003)) FILTER (WHERE fate = 'cleaned'), 0
    ) AS cleaned_checksum,
    CAST('${superseded_rows}' AS BIGINT) AS superseded_rows,
    COUNT(*) FILTER (WHERE fate = 'cleaned' AND is_rounded) AS rounded_rows,
    COUNT(*) FILTER (WHERE fate = 'cleaned' AND is_without_vendor) AS rows_without_vendor,
    '${source}' AS `source`,
    '${source_version}' AS source_version,
    '${source_name}' AS source_name
FROM month_fates;

END;
