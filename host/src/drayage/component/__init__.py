"""Defines the Dagster component for a workload that is declared in YAML.

Reading order: ``workload`` (the component) → ``fields`` (from YAML to the client's arguments) → ``scaffolder`` (the
file that ``dg scaffold`` writes) → ``provenance`` (image and revision as tags of the run).
"""
