"""Executes the steps of a run side by side, in threads of one process.

Read ``executor`` (what people configure), ``loop`` (the main thread: what is started, and how all of it ends),
``step_thread`` (one step), ``streams`` (whose ``print`` it is) and ``ending`` (how the process gets rid of a step that
ends for nothing). What it needs of Dagster's own executors is in ``drayage.dagster_internals.runs``.
"""
