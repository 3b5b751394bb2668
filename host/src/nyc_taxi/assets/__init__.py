"""The pipeline's assets in the order of the data.

Reading order: ``kafka`` (the topic and its events), ``lake`` (bronze and silver), ``marts`` (dbt's models and the
published tables), ``audit`` (counts all of it again), and ``throughput`` and ``maintenance``, which have no months.
"""
