"""Runs one step, from its request to its verdict.

Reading order: ``declared`` (what its definitions say) → ``execution`` (the whole step) → ``runner`` (the part shared
with a replay) → ``start``, ``adoption``, ``lineage``, ``standby`` (choose the container) → ``launch`` (create and start
it) → ``follower``, ``usage`` (follow it while it runs) → ``output``, ``log_file``, ``console``, ``losses`` (keep its
output) → ``watch``, ``limits`` (stop it at a time limit) → ``invocation`` (what the asset gets back).
"""
