"""The command line, for people who debug a step or add a workload.

Reading order: ``app`` (all commands) → ``screen`` (what they share) → ``listing``, ``output`` (what happened) →
``shell``, ``replay``, ``capsule`` (run it again) → ``doctor`` with ``added_checks``, ``sweep`` (the machine) → ``new``
(add a workload), ``conform`` (test an image).
"""
