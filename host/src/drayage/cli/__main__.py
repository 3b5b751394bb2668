"""Runs the command line as ``python -m drayage.cli``."""

from drayage.cli.app import main

main()
