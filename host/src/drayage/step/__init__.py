"""One step, from its request to its verdict.

Reading order: ``execution`` (the whole of it) → ``runner`` (what a replay does too) → ``start``, ``adoption``,
``lineage``, ``standby`` (which container it gets) → ``launch`` (create and start it) → ``follower``, ``output`` (while
it runs) → ``watch``, ``limits`` (when it must end) → ``invocation`` (what the asset gets back).
"""
