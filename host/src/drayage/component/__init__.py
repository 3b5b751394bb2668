"""A workload declared in YAML.

Reading order: ``workload`` (the component) → ``fields`` (from YAML to the client's arguments) → ``scaffolder`` (what
``dg scaffold`` writes) → ``provenance`` (image and revision as tags of the run).
"""
