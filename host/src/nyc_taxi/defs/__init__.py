"""Workloads that are declared in YAML: one folder for each, as ``drayage new`` writes it."""
