"""One step once more, outside Dagster.

Reading order: ``prepare`` (the container, made from its record) → ``run`` (run it and judge it) → ``capsule``
(a step in a file) → ``debugpy_hook`` (a Python step that waits for a debugger).
"""
