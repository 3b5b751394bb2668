"""A page in Debian's Chromium; nothing is downloaded for it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from plots import take_note_of_plots
from stack import Stack

# The browser must not use the network: everything that it would look up by itself is switched off.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Only a failing test waits this long.
TIMEOUT_MS = 90_000
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture
def page(stack: Stack) -> Iterator[Page]:
    """Open a page on the test stack's webserver."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        try:
            page = browser.new_page(viewport={"width": 1500, "height": 950}, base_url=stack.url("DAGSTER_PORT"))
            page.set_default_timeout(TIMEOUT_MS)
            take_note_of_plots(page)
            yield page
        finally:
            browser.close()
