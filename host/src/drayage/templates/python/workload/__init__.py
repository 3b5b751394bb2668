"""The program of the workload WORKLOAD_NAME."""
