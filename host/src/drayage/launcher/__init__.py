"""Launches runs in run workers that stand by: Dagster and the definitions are loaded before somebody clicks.

Read ``launcher`` (what is configured in place of dagster-docker's), ``blueprint`` (what a run worker is made from, and
when it is too old for a run), ``words`` (what is said between the launcher and a run worker), ``pool`` (the run workers
of one instance: made, handed over, dismissed), ``keeper`` (which keeps them ready) with ``current`` (as what),
``worker`` (the program in them), and ``daemon`` (Dagster's daemons, with a queue that reacts at once, and the keeper).
"""
