"""Write the config map and the secret `services` from what compose.yml gives the host.

Usage: ``docker compose config --format json | services.py NAME=VALUE... | kubectl apply --filename -``

Each NAME=VALUE is added to the config map, or replaces compose's value.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

# Docker's, or said by the manifests.
_LEFT_OUT = frozenset(
    {
        "DAGSTER_CONTAINER_CONTEXT",
        "DRAYAGE_CLI_PREFIX",
        "DRAYAGE_EXCHANGE_ROOT",
        "DRAYAGE_NETWORK",
        "TAXI_MARTS_VOLUME",
        "WORKLOAD_IMAGES",
    }
)
_SECRET = re.compile("PASSWORD|SECRET|TOKEN|_KEY")


def build_objects(compose: Mapping[str, Any], given: Sequence[str]) -> dict[str, Any]:
    """Return the two objects as a list that kubectl takes.

    Args:
        compose: What ``docker compose config --format json`` prints.
        given: ``NAME=VALUE`` each.
    """
    environment = compose["services"]["dagster-code"]["environment"]
    settings = {name: value for name, value in environment.items() if name not in _LEFT_OUT}
    settings |= dict(pair.split("=", 1) for pair in given)
    # An empty value is as if compose said nothing.
    settings = {name: value for name, value in settings.items() if value}
    secrets = {name: settings.pop(name) for name in sorted(settings) if _SECRET.search(name)}
    about = {"apiVersion": "v1", "metadata": {"name": "services", "namespace": "drayage"}}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {**about, "kind": "ConfigMap", "data": settings},
            {**about, "kind": "Secret", "stringData": secrets},
        ],
    }


if __name__ == "__main__":
    json.dump(build_objects(json.load(sys.stdin), sys.argv[1:]), sys.stdout, sort_keys=True)
