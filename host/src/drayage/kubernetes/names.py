"""Writes our labels on a pod, and reads them back.

A label of Kubernetes is short and of few characters, so the labels are whole in one annotation, and each is a label of
Kubernetes too, to be found by: as it is where that is possible, otherwise as a digest.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from drayage.identity import DEPLOYMENT, EXCHANGE

PREFIX = "drayage.dev/"
LABELS = f"{PREFIX}labels"
CONTEXT = f"{PREFIX}context"
FAILURE = f"{PREFIX}failure"
FINALIZER = f"{PREFIX}read"
HOST = f"{PREFIX}host"
"""The label that says which process follows the pod; whoever changes it has taken the pod over."""
ROLE = f"{PREFIX}role"

_OWN_PREFIX = "drayage/"
_LONGEST_NAME = 63
_LONGEST_VALUE = 63
_LONGEST_PART = 40
_PLAIN_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?")
_NOT_OF_A_NAME = re.compile(r"[^a-z0-9]+")
_NOT_OF_A_KEY = re.compile(r"[^A-Za-z0-9]+")


def pod_name(labels: Mapping[str, str], name: str | None) -> str:
    """Return the name of a pod.

    Args:
        labels: Our labels. A container with an exchange directory always gets the same name, so that no second one of
            the attempt can be made.
        name: What people call the container; None leaves it to chance if there is no exchange directory either.
    """
    if EXCHANGE in labels:
        digest = _digest(f"{labels.get(DEPLOYMENT, '')}\n{labels[EXCHANGE]}", 10)
        return f"{_dns(name or 'step', _LONGEST_NAME - len(digest) - 1)}-{digest}"
    if name is None:
        return f"drayage-{uuid.uuid4().hex[:16]}"
    plain = _dns(name, _LONGEST_NAME)
    return plain if plain == name else f"{_dns(name, _LONGEST_NAME - 11)}-{_digest(name, 10)}"


def pod_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of Kubernetes by which a pod is found."""
    return {_key(name): _value(value) for name, value in labels.items()}


def selector(labels: Mapping[str, str]) -> str:
    """Return the selector of all pods that have these labels of ours; an empty value matches any value."""
    terms = [f"{_key(name)}={_value(value)}" if value else _key(name) for name, value in labels.items()]
    return ",".join(terms or [HOST])


def carries(pod: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether a pod has all these labels of ours; an empty value matches any value."""
    return match(read_labels(pod), labels)


def match(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return whether all that are wanted are among these labels; an empty value matches any value."""
    return all(name in labels and (not value or labels[name] == value) for name, value in wanted.items())


def read_labels(pod: Mapping[str, Any]) -> dict[str, str]:
    """Return a pod's labels as they were given; empty if it has none of ours."""
    written = (pod["metadata"].get("annotations") or {}).get(LABELS)
    try:
        labels = json.loads(written or "{}")
    except ValueError:
        return {}
    return labels if isinstance(labels, dict) else {}


def _key(name: str) -> str:
    own = name.removeprefix(_OWN_PREFIX)
    if own != name:
        return PREFIX + own
    # Keys that others choose may differ in what a label of Kubernetes cannot hold.
    return f"{PREFIX}{_NOT_OF_A_KEY.sub('-', name).strip('-')[:_LONGEST_PART]}.{_digest(name, 8)}".replace("/.", "/x.")


def _value(value: str) -> str:
    if len(value) <= _LONGEST_VALUE and _PLAIN_VALUE.fullmatch(value):
        return value
    return _digest(value, 40)


def _dns(name: str, length: int) -> str:
    return _NOT_OF_A_NAME.sub("-", name.lower()).strip("-")[:length].strip("-") or "x"


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
