"""Decides whether a step is green or red, and explains why.

Reading order: ``judge`` (collects every reason why a step is red) → ``promises`` (what an asset must report) →
``results`` (what happens to the results that a workload reported) → ``failure`` (explains a red step).
"""
