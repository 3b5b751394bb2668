"""Move the trips from Kafka to bronze and from bronze to silver with the Flink SQL of ``sql/flink``.

Reading order: ``__main__`` (the commands) → ``bronze``, ``silver`` (the two steps) → ``month_versions``,
``completeness`` (what silver is made of, and whether bronze has all of it) → ``migrations`` (the columns that a table
lacks) → ``expiry`` (old snapshots of their tables) → ``job_runner`` (one Flink job: found or submitted, followed,
cancelled) → ``gateway``, ``jobmanager``, ``service_client`` (Flink's REST interfaces) → ``topic``, ``offsets``,
``ingested`` (what is new in the topic) → ``lake`` (the Iceberg tables) → ``reconciliation`` (topic and table compared,
offset by offset) → ``report`` (messages to Dagster) → ``settings``, ``sql_files``, ``preflight``, ``root_cause``,
``deadline``, ``errors``.
"""
