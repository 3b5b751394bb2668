"""Takes the trips from Kafka to bronze and from bronze to silver: submits the SQL of `sql/flink`, follows, reports.

Reading order: `__main__` (what a step does) → `bronze`, `silver` (the two steps), `expiry` (their tables' care) →
`job_runner` (one Flink job: found or submitted, followed, cancelled) → `gateway`, `jobmanager` over `service_client`
(Flink's REST interfaces) → `topic`, `offsets`, `ingested` (what is new in the topic) → `lake` (the Iceberg tables) →
`receipt` (topic and table compared, offset by offset) → `report` (what Dagster is told) → `settings`, `sql_files`,
`root_cause`, `deadline`, `errors`.
"""
