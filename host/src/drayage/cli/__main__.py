"""``python -m drayage.cli``."""

from drayage.cli import main

main()
