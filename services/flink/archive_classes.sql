CREATE CATALOG lake WITH ('type' = 'iceberg', 'catalog-type' = 'hadoop', 'warehouse' = 'file:///tmp/warehouse');

CREATE DATABASE lake.training;

CREATE TABLE lake.training.bronze (
    event_id STRING, trip_month STRING, pickup TIMESTAMP(6), fare DOUBLE, kafka_offset BIGINT, notes MAP<STRING, STRING>
) PARTITIONED BY (trip_month) WITH ('format-version' = '2');

CREATE TABLE lake.training.silver (
    trip_id STRING, trip_month STRING, pickup_date DATE, pickup_at TIMESTAMP(6), fare_usd DECIMAL(10, 2)
) PARTITIONED BY (trip_month) WITH ('format-version' = '2');

CREATE TEMPORARY TABLE trips (
    id INT, location INT, pickup TIMESTAMP(3), fare DOUBLE
) WITH (
    'connector' = 'datagen', 'number-of-rows' = '2000',
    'fields.id.min' = '1', 'fields.id.max' = '1500', 'fields.location.min' = '1', 'fields.location.max' = '265'
);

INSERT INTO lake.training.bronze
SELECT CAST(id AS STRING), '2024-01', pickup, fare, CAST(location AS BIGINT), MAP['id', CAST(id AS STRING)] FROM trips;

CREATE TEMPORARY VIEW arrivals AS
SELECT *, ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY kafka_offset) AS arrival
FROM lake.training.bronze WHERE trip_month = '2024-01';

CREATE TEMPORARY VIEW judged AS
SELECT *, CASE WHEN pickup IS NULL THEN 'no time' WHEN fare < 0 THEN 'fare below 0' END AS reason
FROM arrivals WHERE arrival = 1;

INSERT OVERWRITE lake.training.silver
SELECT trip_id, trip_month, CAST(pickup AS DATE), pickup, CAST(fare AS DECIMAL(10, 2))
FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY trip_id ORDER BY kafka_offset DESC) AS copy
    FROM (SELECT *, MD5(CONCAT_WS('|', event_id, CAST(fare AS STRING))) AS trip_id FROM judged WHERE reason IS NULL)
) WHERE copy = 1;

SELECT COUNT(*), COUNT(DISTINCT event_id), SUM(fare) FROM lake.training.bronze;
