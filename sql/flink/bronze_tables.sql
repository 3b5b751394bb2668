-- Grain: one row for each committed record of the topic, by (kafka_topic_id, kafka_partition, kafka_offset).
-- Rerun: creates the table if it is missing, in its first version; the files in migrations add the later columns.
--
-- A record that could not be decoded is a row too: it has its bytes and the reason, but no month, event or trip. The
-- view bronze.quarantine shows only these rows; the step creates it, because Flink cannot.
--
-- The taxi commission's nineteen columns keep the names and types they arrive with. Writers do not shuffle, because
-- one month would then go through a single writer. Full bounds on the topic id let a reader skip other topics' files.
CREATE TABLE IF NOT EXISTS lake.bronze.raw_trips (
    event_id STRING COMMENT 'Identity of the sent event; repeated when a month is sent again',
    trip_month STRING COMMENT 'Month of the trip according to the sender, yyyy-MM',
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
    kafka_topic_id STRING NOT NULL COMMENT 'Id of the topic; a topic that is created again has a new one',
    kafka_partition INT NOT NULL COMMENT 'Partition the record was read from',
    kafka_offset BIGINT NOT NULL COMMENT 'Offset of the record in its partition',
    kafka_timestamp TIMESTAMP(6) COMMENT 'Time of the record in Kafka, UTC: when it was sent',
    ingested_at TIMESTAMP(6) NOT NULL COMMENT 'When the ingesting step began, UTC; the same for all rows of one job',
    undecodable_reason STRING COMMENT 'Why the record could not be decoded; NULL if it was decoded',
    undecodable_value BYTES COMMENT 'The bytes of a record that could not be decoded, as received'
) PARTITIONED BY (trip_month) WITH (
    'format-version' = '2',
    'write.distribution-mode' = 'none',
    'write.metadata.metrics.column.kafka_topic_id' = 'full',
    'write.metadata.delete-after-commit.enabled' = 'true',
    'write.metadata.previous-versions-max' = '50'
);
