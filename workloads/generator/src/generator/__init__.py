"""Sends a month of New York taxi trips to Kafka as Avro, in transactions.

Read `__main__` (commands and how a step ends), `request` (what a step is asked), then `topics` and
`produce`. Below `produce`: `trip_file`, `trip_format`, `trip_columns` (a month that has a file);
`synthesis`, `drawing`, `faults`, `city` (one that has none); `event_schema`, `registry`, `encoding`
(trips to messages); `pacing`, `sender`, `broker` (messages to the topic). `errors` is the tree of
everything that ends a step.
"""
