"""Knows what docker-py's keyword arguments for creating a container mean, for those to whom they are opaque."""

from collections.abc import Mapping
from typing import Any

from drayage.engine import OptionFacts

# They change nothing outside the container, or only take something away from it. Source: docker-py 7.
_HARMLESS = frozenset(
    {
        "auto_remove",
        "cap_drop",
        "cpu_count",
        "cpu_percent",
        "cpu_period",
        "cpu_quota",
        "cpu_shares",
        "cpuset_cpus",
        "cpuset_mems",
        "detach",
        "domainname",
        "entrypoint",
        "environment",
        "healthcheck",
        "hostname",
        "init",
        "labels",
        "mem_limit",
        "mem_reservation",
        "mem_swappiness",
        "memswap_limit",
        "name",
        "nano_cpus",
        "network_disabled",
        "pids_limit",
        "platform",
        "read_only",
        "shm_size",
        "stdin_open",
        "stop_signal",
        "tmpfs",
        "tty",
        "user",
        "working_dir",
    }
)
_NETWORKS = ("network", "network_mode")
_NETWORK_OFF = "network_disabled"
# Docker's client would tell the container which proxies its user has, passwords included.
_WITHHELD = {"use_config_proxy": False}
# A name can be used only once, and labels would assign a copy to the original run.
_ONE_CONTAINERS_OWN = frozenset({"name", "labels"})


def explain(options: Mapping[str, Any]) -> OptionFacts:
    """Say what keyword arguments mean, as :meth:`drayage.engine.Engine.explain` does.

    Args:
        options: Keyword arguments of docker-py's ``containers.create``.
    """
    copied = {name: value for name, value in options.items() if name not in _ONE_CONTAINERS_OWN}
    of_networks = {*_NETWORKS, _NETWORK_OFF}
    return OptionFacts(
        networks=tuple(str(options[name]) for name in _NETWORKS if options.get(name))
        + (("none",) if options.get(_NETWORK_OFF) else ()),
        reaching={
            name: value
            for name, value in options.items()
            if name not in _HARMLESS and name not in of_networks and value not in (None, False, [], {}, "")
        },
        copied=copied,
        copied_without_networks={name: value for name, value in copied.items() if name not in of_networks},
        guarded={**_WITHHELD, **options},
    )
