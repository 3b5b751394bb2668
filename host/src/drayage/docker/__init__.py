"""Docker, behind the seam: nothing outside this room imports docker-py.

Reading order: ``engine`` (what a step needs of Docker) → ``files``, ``output`` (its two hard parts) → ``connections``,
``errors`` (what all of them need) → ``debug`` (what people need when they look into a step) → ``build`` (a workload's
image from its folder).
"""
