"""Runs one step again, outside Dagster.

Reading order: ``prepare`` (prepare the container from its record) → ``run`` (run it and judge it) → ``capsule``
(a step in a file) → ``consent`` (what a capsule may have of this machine) → ``debugpy_hook`` (a Python step that waits
for a debugger).
"""
