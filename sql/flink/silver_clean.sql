-- Grain: classified_trips one row for each bronze row of the month's current version, with its fate: cleaned,
--     rejected, repeated event or repeated trip; month_fates the same rows, with what is counted of them.
-- Rerun: temporary views of the session; the same rows of bronze and the same version have the same fates. Of a
--     repeated event the earliest arrival is kept, so that sending a version again changes nothing; of a natural key
--     the row ingested last is kept.
--
-- A row of another version, or of none, is superseded and not read; the step counts these rows. Bronze must be read in
-- one place only: of two, Flink makes one reader that filters neither by month nor by version, and reads all of bronze.
--
-- trip_id is the MD5, in lower-case hexadecimal, of seven texts joined by '|':
--     vendor | pickup | dropoff | pickup location | dropoff location | fare | total
-- with integers in decimal, times as yyyy-MM-dd HH:mm:ss.SSS, money rounded to cents with two decimals ('7.00'), and
-- '~' for NULL. The vendor is VendorID, else vendor_name with '_' for each '|' and '~'. A location is the zone's id;
-- without one it is '<longitude>,<latitude>', each FLOOR(degrees * 1E6 + 0.5) in decimal, or '~' if it is NULL, no
-- number or beyond 1E6 degrees; '~' alone if both are NULL. No text contains '|', and no value's text is '~', so two
-- different keys never have the same text, but for vendors' names that differ only in '|', '~' and '_'.
--
-- A record that could not be decoded belongs to no month, so it is not among these rows; bronze counts such records.
--
-- rejection_reason is the first of: value_out_of_range (the event has a value that its column cannot hold),
-- pickup_time_missing, dropoff_time_missing, distance_missing, distance_below_zero, fare_missing, fare_below_zero,
-- pickup_outside_month, value_out_of_range (not a number, or beyond the type kept here).
--
-- Each window sorts all rows of the version, comparing only the first 16 bytes of the key where these differ. The event
-- ids of a month differ only at their end; a key's columns are compared in the order of this file, which is why trip_id
-- comes first. Unused columns are dropped early, and an expression that two columns need is computed once, in an
-- earlier step: Flink computes an expression again wherever its name is used.
--
-- Casting a time to text takes a third of DATE_FORMAT's time. DATE_FORMAT is used only if the year does not have four
-- digits: the cast would cut the year off, and two trips could become one.
--
-- An amount is cast only after it was compared, because Flink's casts (TRY_CAST too) end the job on an infinite number.
-- Every comparison with NaN is false, so the conditions state what a good value is, not what a bad one is.
CREATE TEMPORARY VIEW classified_trips AS
WITH
arrivals AS (
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
        cbd_congestion_fee,
        vendor_name,
        payment_name,
        pickup_longitude,
        pickup_latitude,
        dropoff_longitude,
        dropoff_latitude,
        unknown_columns,
        values_out_of_range,
        kafka_topic_id,
        kafka_partition,
        kafka_offset,
        kafka_timestamp,
        ingested_at,
        ROW_NUMBER() OVER (
            PARTITION BY REVERSE(event_id)
            ORDER BY ingested_at ASC, kafka_partition ASC, kafka_offset ASC
        ) AS arrival_number
    FROM lake.bronze.raw_trips /*+ OPTIONS('snapshot-id' = '${bronze_snapshot_id}') */
    WHERE
        trip_month = '${month}'
        AND source_version = '${source_version}'
),

priced AS (
    SELECT
        *,
        CASE
            WHEN ABS(fare_amount) < 99999999.99E0 THEN CAST(fare_amount AS DECIMAL(10, 2))
        END AS fare_amount_usd,
        CASE
            WHEN ABS(extra) < 99999999.99E0 THEN CAST(extra AS DECIMAL(10, 2))
        END AS extra_usd,
        CASE
            WHEN ABS(mta_tax) < 99999999.99E0 THEN CAST(mta_tax AS DECIMAL(10, 2))
        END AS mta_tax_usd,
        CASE
            WHEN ABS(tip_amount) < 99999999.99E0 THEN CAST(tip_amount AS DECIMAL(10, 2))
        END AS tip_amount_usd,
        CASE
            WHEN ABS(tolls_amount) < 99999999.99E0 THEN CAST(tolls_amount AS DECIMAL(10, 2))
        END AS tolls_amount_usd,
        CASE
            WHEN ABS(improvement_surcharge) < 99999999.99E0 THEN CAST(improvement_surcharge AS DECIMAL(10, 2))
        END AS improvement_surcharge_usd,
        CASE
            WHEN ABS(total_amount) < 99999999.99E0 THEN CAST(total_amount AS DECIMAL(10, 2))
        END AS total_amount_usd,
        CASE
            WHEN ABS(congestion_surcharge) < 99999999.99E0 THEN CAST(congestion_surcharge AS DECIMAL(10, 2))
        END AS congestion_surcharge_usd,
        CASE
            WHEN ABS(`Airport_fee`) < 99999999.99E0 THEN CAST(`Airport_fee` AS DECIMAL(10, 2))
        END AS airport_fee_usd,
        CASE
            WHEN ABS(cbd_congestion_fee) < 99999999.99E0 THEN CAST(cbd_congestion_fee AS DECIMAL(10, 2))
        END AS cbd_congestion_fee_usd
    FROM arrivals
),

judged AS (
    SELECT
        *,
        CASE
            WHEN values_out_of_range IS NOT NULL THEN 'value_out_of_range'
            WHEN tpep_pickup_datetime IS NULL THEN 'pickup_time_missing'
            WHEN tpep_dropoff_datetime IS NULL THEN 'dropoff_time_missing'
            WHEN trip_distance IS NULL THEN 'distance_missing'
            WHEN trip_distance < 0 THEN 'distance_below_zero'
            WHEN fare_amount IS NULL THEN 'fare_missing'
            WHEN fare_amount < 0 THEN 'fare_below_zero'
            WHEN
                EXTRACT(YEAR FROM tpep_pickup_datetime) <> CAST(SUBSTRING('${month}' FROM 1 FOR 4) AS INT)
                OR EXTRACT(MONTH FROM tpep_pickup_datetime) <> CAST(SUBSTRING('${month}' FROM 6 FOR 2) AS INT)
                THEN 'pickup_outside_month'
            WHEN
                trip_distance < 1E300
                AND COALESCE(ABS(fare_amount), 0) < 99999999.99E0
                AND COALESCE(ABS(extra), 0) < 99999999.99E0
                AND COALESCE(ABS(mta_tax), 0) < 99999999.99E0
                AND COALESCE(ABS(tip_amount), 0) < 99999999.99E0
                AND COALESCE(ABS(tolls_amount), 0) < 99999999.99E0
                AND COALESCE(ABS(improvement_surcharge), 0) < 99999999.99E0
                AND COALESCE(ABS(total_amount), 0) < 99999999.99E0
                AND COALESCE(ABS(congestion_surcharge), 0) < 99999999.99E0
                AND COALESCE(ABS(`Airport_fee`), 0) < 99999999.99E0
                AND COALESCE(ABS(cbd_congestion_fee), 0) < 99999999.99E0
                AND COALESCE(`VendorID`, 0) BETWEEN -2147483648 AND 2147483647
                AND COALESCE(passenger_count, 0) BETWEEN -2147483648 AND 2147483647
                AND COALESCE(`RatecodeID`, 0) BETWEEN -2147483648 AND 2147483647
                AND COALESCE(`PULocationID`, 0) BETWEEN -2147483648 AND 2147483647
                AND COALESCE(`DOLocationID`, 0) BETWEEN -2147483648 AND 2147483647
                AND COALESCE(payment_type, 0) BETWEEN -2147483648 AND 2147483647
                THEN CAST(NULL AS STRING)
            ELSE 'value_out_of_range'
        END AS rejection_reason
    FROM priced
),

keyed AS (
    SELECT  -- noqa: ST06
        MD5(
            CONCAT_WS(
                '|',
                COALESCE(CAST(`VendorID` AS STRING), REPLACE(REPLACE(vendor_name, '|', '_'), '~', '_'), '~'),
                COALESCE(
                    CASE
                        WHEN EXTRACT(YEAR FROM tpep_pickup_datetime) BETWEEN 1 AND 9999
                            THEN CAST(CAST(tpep_pickup_datetime AS TIMESTAMP(3)) AS STRING)
                        ELSE DATE_FORMAT(tpep_pickup_datetime, 'yyyy-MM-dd HH:mm:ss.SSS')
                    END,
                    '~'
                ),
                COALESCE(
                    CASE
                        WHEN EXTRACT(YEAR FROM tpep_dropoff_datetime) BETWEEN 1 AND 9999
                            THEN CAST(CAST(tpep_dropoff_datetime AS TIMESTAMP(3)) AS STRING)
                        ELSE DATE_FORMAT(tpep_dropoff_datetime, 'yyyy-MM-dd HH:mm:ss.SSS')
                    END,
                    '~'
                ),
                CASE
                    WHEN `PULocationID` IS NOT NULL THEN CAST(`PULocationID` AS STRING)
                    WHEN pickup_longitude IS NULL AND pickup_latitude IS NULL THEN '~'
                    ELSE CONCAT(
                        COALESCE(
                            CASE
                                WHEN ABS(pickup_longitude) <= 1E6
                                    THEN CAST(CAST(FLOOR(pickup_longitude * 1E6 + 0.5E0) AS BIGINT) AS STRING)
                            END,
                            '~'
                        ),
                        ',',
                        COALESCE(
                            CASE
                                WHEN ABS(pickup_latitude) <= 1E6
                                    THEN CAST(CAST(FLOOR(pickup_latitude * 1E6 + 0.5E0) AS BIGINT) AS STRING)
                            END,
                            '~'
                        )
                    )
                END,
                CASE
                    WHEN `DOLocationID` IS NOT NULL THEN CAST(`DOLocationID` AS STRING)
                    WHEN dropoff_longitude IS NULL AND dropoff_latitude IS NULL THEN '~'
                    ELSE CONCAT(
                        COALESCE(
                            CASE
                                WHEN ABS(dropoff_longitude) <= 1E6
                                    THEN CAST(CAST(FLOOR(dropoff_longitude * 1E6 + 0.5E0) AS BIGINT) AS STRING)
                            END,
                            '~'
                        ),
                        ',',
                        COALESCE(
                            CASE
                                WHEN ABS(dropoff_latitude) <= 1E6
                                    THEN CAST(CAST(FLOOR(dropoff_latitude * 1E6 + 0.5E0) AS BIGINT) AS STRING)
                            END,
                            '~'
                        )
                    )
                END,
                COALESCE(CAST(fare_amount_usd AS STRING), '~'),
                COALESCE(CAST(total_amount_usd AS STRING), '~')
            )
        ) AS trip_id,
        *
    FROM judged
),

ranked AS (
    SELECT
        *,
        ROW_NUMBER() OVER (
            PARTITION BY trip_id, arrival_number, rejection_reason
            ORDER BY ingested_at DESC, kafka_partition DESC, kafka_offset DESC
        ) AS lateness
    FROM keyed
)

SELECT
    *,
    COALESCE(
        CAST(`VendorID` AS INT),
        CASE UPPER(TRIM(vendor_name))
            WHEN 'CMT' THEN 1
            WHEN 'VTS' THEN 2
        END
    ) AS vendor_id,
    COALESCE(
        CAST(payment_type AS INT),
        CASE
            WHEN UPPER(TRIM(payment_name)) IN ('CREDIT', 'CRD', 'CRE') THEN 1
            WHEN UPPER(TRIM(payment_name)) IN ('CASH', 'CSH', 'CAS') THEN 2
            WHEN UPPER(TRIM(payment_name)) IN ('NO CHARGE', 'NOC', 'NO') THEN 3
            WHEN UPPER(TRIM(payment_name)) IN ('DISPUTE', 'DIS') THEN 4
            WHEN UPPER(TRIM(payment_name)) IN ('UNK', 'UNKNOWN', 'NA') THEN 5
        END
    ) AS payment_type_id,
    CASE
        WHEN arrival_number > 1 THEN 'repeated event'
        WHEN rejection_reason IS NOT NULL THEN 'rejected'
        WHEN lateness > 1 THEN 'repeated trip'
        ELSE 'cleaned'
    END AS fate
FROM ranked;

-- An amount is rounded if it has more than two decimals; that of a double differs from its cents by less than 1E-6.
CREATE TEMPORARY VIEW month_fates AS
SELECT
    fate,
    kafka_partition,
    kafka_offset,
    vendor_id IS NULL AS is_without_vendor,
    (
        ABS(fare_amount * 100 - FLOOR(fare_amount * 100 + 0.5E0)) > 1E-6
        OR ABS(extra * 100 - FLOOR(extra * 100 + 0.5E0)) > 1E-6
        OR ABS(mta_tax * 100 - FLOOR(mta_tax * 100 + 0.5E0)) > 1E-6
        OR ABS(tip_amount * 100 - FLOOR(tip_amount * 100 + 0.5E0)) > 1E-6
        OR ABS(tolls_amount * 100 - FLOOR(tolls_amount * 100 + 0.5E0)) > 1E-6
        OR ABS(improvement_surcharge * 100 - FLOOR(improvement_surcharge * 100 + 0.5E0)) > 1E-6
        OR ABS(total_amount * 100 - FLOOR(total_amount * 100 + 0.5E0)) > 1E-6
        OR ABS(congestion_surcharge * 100 - FLOOR(congestion_surcharge * 100 + 0.5E0)) > 1E-6
        OR ABS(`Airport_fee` * 100 - FLOOR(`Airport_fee` * 100 + 0.5E0)) > 1E-6
        OR ABS(cbd_congestion_fee * 100 - FLOOR(cbd_congestion_fee * 100 + 0.5E0)) > 1E-6
    ) AS is_rounded
FROM classified_trips;
