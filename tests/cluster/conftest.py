"""The session's cluster."""

from collections.abc import Iterator

import pytest
from cluster import IMAGE, NAME, SCRIPTS, Cluster, output, run


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Start a cluster that has the image ``IMAGE``; it is removed at the end, also after a failure."""
    run(SCRIPTS / "down.sh", NAME)
    try:
        cluster = Cluster(NAME, said=output(SCRIPTS / "up.sh", NAME))
        output("env", f"CLUSTER={NAME}", SCRIPTS / "load.sh", IMAGE)
        yield cluster
    finally:
        output(SCRIPTS / "down.sh", NAME)
