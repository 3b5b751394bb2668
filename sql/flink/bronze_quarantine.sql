-- Grain: one row for each record of the topic that cannot be decoded. This is the text of the view bronze.quarantine.
-- Rerun: the step creates the view if it is missing or has another text; Flink's Iceberg catalog supports no views.
SELECT
    kafka_topic_id,
    kafka_partition,
    kafka_offset,
    kafka_timestamp,
    ingested_at,
    undecodable_reason,
    undecodable_value
FROM bronze.raw_trips
WHERE undecodable_reason IS NOT NULL;
