"""Send a month of New York taxi trips to Kafka as Avro, in transactions.

Reading order: ``__main__`` (the commands) → ``request``, ``month`` (what was asked for) → ``topics``, ``produce`` (the
two steps) → ``trip_file``, ``trip_format``, ``trip_columns`` (a month with a file) → ``synthesis``, ``drawing``,
``shares``, ``faults``, ``city`` (a month without) → ``event_id``, ``event_schema``, ``registry``, ``encoding`` (trips
to messages) → ``month_versions``, ``outlet`` (what makes a version valid) → ``pacing``, ``sender``, ``broker`` (messages
to the topic) → ``errors``.
"""
