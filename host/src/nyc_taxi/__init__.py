"""The NYC taxi pipeline: the code location that Dagster loads.

Reading order, from what Dagster loads down to the names that everything uses:

- ``definitions`` assembles the code location; ``automation`` holds its sensors and schedule, ``jobs`` its jobs.
- ``assets`` holds the assets in the order of the data: ``kafka``, ``lake``, ``marts``, and then ``audit``,
  ``throughput`` and ``maintenance``.
- ``workloads`` says how an image's containers are started, ``images`` reads ids and the dbt manifest from the images,
  and ``dbt_manifest`` turns the manifest into assets.
- ``row_checks`` compares the counts of one report, ``month_checks`` judges the month by them, ``rates`` the speed of
  the last runs; ``provenance`` tags runs.
- ``reports`` lists what each asset must report; ``sources``, ``keys``, ``partitions``, ``freshness``, ``settings`` and
  ``months`` are shared by all of these.

On their own: ``launch`` is the command behind ``make run``; ``landing`` is the landing zone, and the command behind
``make land``; ``doctor``, with ``docker_services``, is what ``drayage
doctor`` examines of the stack; ``pooled_storage`` is Dagster's Postgres storage; ``defs`` holds workloads in YAML.
"""
