"""Send a month of New York taxi trips to Kafka as Avro, in transactions.

Reading order: ``__main__`` (the commands) → ``request``, ``month`` (what was asked for) → ``topics``, ``produce`` (the
two steps) → ``source``, ``landing``, ``month_files`` (what a month is sent from) → ``trip_file``, ``trip_format``,
``trip_parquet``, ``trip_csv``, ``trip_rows``, ``trip_columns``, ``trip_values``, ``trip_numbers``, ``trip_times`` (a
month with a file) → ``synthesis``, ``drawing``, ``shares``, ``faults``, ``city`` (a month without) → ``event_id``,
``event_schema``, ``registry``, ``encoding`` (trips to messages) → ``month_versions``, ``outlet`` (what makes a version
the current one) → ``pacing``, ``sender``, ``broker`` (messages to the topics) → ``errors``.
"""
