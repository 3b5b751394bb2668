-- Grain: one row for each committed record of the topic, by (kafka_topic_id, kafka_partition, kafka_offset).
-- Rerun: creates the table when it is missing.
--
-- A record that could not be decoded is a row too: with its bytes and the reason, without a month, an event or a trip.
-- The view bronze.quarantine, which the step makes since Flink cannot, shows just those.
--
-- The nineteen columns of the taxi commission keep the names and types they arrive with. Writers do not shuffle:
-- one month would else go through a single writer. Bounds on the whole topic id let a reader skip files of others.
CREATE TABLE IF NOT EXISTS lake.bronze.raw_trips (
    event_id STRING COMMENT 'Identity of the sent event; repeated when a month is sent again',
    trip_month STRING COMMENT 'Month the sender says the trip belongs to, yyyy-MM',
    sent_at TIMESTAMP(6) COMMENT 'When the generator made the event, UTC',
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
    kafka_topic_id STRING NOT NULL COMMENT 'Id of the topic; a topic made anew has another one',
    kafka_partition INT NOT NULL COMMENT 'Partition the record was read from',
    kafka_offset BIGINT NOT NULL COMMENT 'Offset of the record in its partition',
    kafka_timestamp TIMESTAMP(6) COMMENT 'Time of the record in Kafka, UTC: when it was sent',
    ingested_at TIMESTAMP(6) NOT NULL COMMENT 'When the ingesting step began, UTC; the same for all rows of one job',
    undecodable_reason STRING COMMENT 'Why the record could not be decoded; NULL for one that was',
    undecodable_value BYTES COMMENT 'The record as it came, when it could not be decoded'
) PARTITIONED BY (trip_month) WITH (
    'format-version' = '2',
    'write.distribution-mode' = 'none',
    'write.metadata.metrics.column.kafka_topic_id' = 'full',
    'write.metadata.delete-after-commit.enabled' = 'true',
    'write.metadata.previous-versions-max' = '50'
);
