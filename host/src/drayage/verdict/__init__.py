"""The verdict: what makes a step green or red, and how that is said.

Reading order: ``judge`` (every reason against a green step) → ``promises`` (what an asset must report) → ``results``
(what becomes of the results a workload reported) → ``failure`` (the explanation of a red step).
"""
