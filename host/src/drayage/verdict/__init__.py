"""Decides whether a step is green or red, and explains why.

Reading order: ``judge`` (collects every reason why a step is red) → ``promises`` (what metadata an asset must have) →
``reports`` (what a step must report, and may) → ``results`` (what happens to the results that a workload reported) →
``own_metadata`` (names that are the runner's) → ``exception`` (whatever a workload closed with) → ``failure`` (explains
a red step).
"""
