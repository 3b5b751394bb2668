-- Grain: one row for each record of the topic that nobody can decode: the text of the view bronze.quarantine.
-- Rerun: the step makes the view when it is missing, or another; Flink's Iceberg catalog knows no views.
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
