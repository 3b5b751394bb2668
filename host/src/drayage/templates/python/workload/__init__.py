"""The workload: what the container of WORKLOAD_NAME runs."""
