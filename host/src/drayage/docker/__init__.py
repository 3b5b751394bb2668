"""Implements the engine and debugger seams for Docker: no module outside this package imports docker-py.

Reading order: ``engine`` (what a step needs from Docker) → ``arguments``, ``files`` and ``output`` (its hard parts) →
``mailboxes`` (``relayed`` and ``relay``: where the engine shares no files with this machine) →
``connections``, ``address``, ``tunnel`` and ``errors`` (shared by all of them) → ``debug`` (terminals and image facts
for debugging) → ``build`` (a workload's image from its folder).
"""
