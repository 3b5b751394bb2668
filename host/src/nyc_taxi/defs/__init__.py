"""Workloads declared in YAML, one folder each, as `drayage new` writes them."""
