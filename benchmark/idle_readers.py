"""Measures what steps cost the host while they are silent: many readers, each with its ledger, and no messages."""

import argparse
import contextlib
import tempfile
import time
from pathlib import Path

from drayage.mailbox import MESSAGES_FILE, FolderMailbox
from drayage.pipes.ledger import Ledger
from drayage.pipes.reader import MailboxReader


class Silent:
    """Takes the place of Dagster's message handler, which a silent step never calls."""

    received_closed_message = False


def main() -> None:
    """Start the readers, wait until they count as silent, and print the processor seconds that they take a second."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=1000, help="number of silent steps")
    arguments.add_argument("--silent-s", type=float, default=30.0, help="how long they have been silent, in seconds")
    arguments.add_argument("--measured-s", type=float, default=10.0, help="how long to measure, in seconds")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as root, contextlib.ExitStack() as stack:
        for number in range(options.steps):
            folder = Path(root) / str(number)
            folder.mkdir()
            mailbox = FolderMailbox(folder)
            stack.callback(mailbox.collect)
            reader = MailboxReader(mailbox, kept_in=folder / MESSAGES_FILE)
            stack.enter_context(reader.read_messages(Ledger().over(Silent())))  # type: ignore[arg-type]  # a stand-in
        time.sleep(options.silent_s)
        before_s = time.process_time()
        time.sleep(options.measured_s)
        cores = (time.process_time() - before_s) / options.measured_s
    print(f"{options.steps:,} silent steps: {cores:.2f} of one core")


if __name__ == "__main__":
    main()
