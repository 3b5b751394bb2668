"""Defines and validates how a deployment's pods are made (:class:`KubernetesSettings`)."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
import yaml

from drayage.errors import SettingsError
from drayage.settings import Seconds

NAMESPACE_VARIABLE = "DRAYAGE_KUBERNETES_NAMESPACE"
SETTINGS_VARIABLE = "DRAYAGE_KUBERNETES_SETTINGS"
RELAY_VARIABLE = "DRAYAGE_RELAY_IMAGE"

_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_QUANTITY = r"^[0-9]+(\.[0-9]+)?([eE][0-9]+|m|[kKMGTPE]i?)?$"

DnsLabel = Annotated[str, pydantic.Field(pattern=_DNS_LABEL)]
Quantity = Annotated[
    str,
    pydantic.BeforeValidator(str, json_schema_input_type=str | float),
    pydantic.Field(pattern=_QUANTITY),
]


class Volume(pydantic.BaseModel, frozen=True, extra="forbid"):
    """A volume of any of Kubernetes' kinds, and where the workload sees it.

    Args:
        name: Name within the pod.
        target: Absolute path in the container.
        source: The volume's source as in a pod's specification, such as ``{"configMap": {"name": "rates"}}``.
        read_only: Whether the workload may only read it.
    """

    name: DnsLabel
    target: Annotated[str, pydantic.Field(pattern=r"^/")]
    source: Annotated[dict[str, Any], pydantic.Field(min_length=1, max_length=1)]
    read_only: bool = True


class KubernetesSettings(pydantic.BaseModel, frozen=True, extra="forbid"):
    """How the pods of steps are made, beyond what :class:`drayage.StepSettings` says for every engine.

    Args:
        namespace: The namespace of the pods; None takes the kubeconfig's, or the one that this process runs in.
        context: The kubeconfig's context; None takes its current one.
        relay_image: The image of the relay that runs beside a workload.
        requests: What a node must have free for the workload, by resource; what is missing here is its limit.
        limits: Limits of further resources, such as ``{"nvidia.com/gpu": 1}``; memory and CPUs are settings of a step.
        node_selector: Labels that a node must have.
        tolerations: Taints that the pod tolerates, as in a pod's specification.
        affinity: Affinities, as in a pod's specification.
        service_account: The pod's service account, whose token the workload then gets; None gives it no token.
        image_pull_secrets: Names of secrets with the credentials of image registries.
        volumes: Volumes in addition to those of the step's settings.
        runtime_class: The runtime class, such as ``gvisor``.
        restricted: Whether the workload is held to Kubernetes' *restricted* standard: not as root, no privilege
            escalation, no capabilities. The runtime's default seccomp profile applies in any case.
        usage: Whether memory and processor time are measured. The relay is then copied into the workload's pod, which
            delays its start by up to a second, and every sample is a request.
        pending_s: How long a pod may wait for a node or a volume once the cluster has said why, in seconds. Raise it
            where nodes are added on demand.
        node_lost_s: How long a node may be out of reach before a step on it fails, in seconds.
        linger_s: How long an ended pod waits for somebody to read its messages, in seconds.
        pod: Merged into every pod: lists of objects with a name by name, other lists replaced.
    """

    namespace: DnsLabel | None = None
    context: str | None = None
    relay_image: Annotated[str, pydantic.Field(min_length=1)] = "drayage/relay"
    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}
    node_selector: dict[str, str] = {}
    tolerations: tuple[dict[str, Any], ...] = ()
    affinity: dict[str, Any] | None = None
    service_account: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()
    runtime_class: str | None = None
    restricted: bool = True
    usage: bool = False
    pending_s: Seconds = 8.0
    node_lost_s: Annotated[int, pydantic.Field(gt=0)] = 300
    linger_s: Annotated[int, pydantic.Field(gt=0)] = 24 * 3600
    pod: dict[Literal["metadata", "spec"], dict[str, Any]] = {}

    @pydantic.field_validator("limits")
    @classmethod
    def _not_a_steps(cls, limits: dict[str, str]) -> dict[str, str]:
        if own := {"memory", "cpu"} & limits.keys():
            raise ValueError(f"{' and '.join(sorted(own))}: set `memory` and `cpus` in the settings of steps instead")
        return limits

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Load the settings: arguments first, then environment variables, then the file that one of these names.

        Args:
            environment: The environment; None takes the process's. Its ``DRAYAGE_KUBERNETES_SETTINGS`` is the path of a
                YAML file, ``DRAYAGE_KUBERNETES_NAMESPACE`` and ``DRAYAGE_RELAY_IMAGE`` are settings.
            given: Settings by name.

        Raises:
            SettingsError: The file cannot be read, or a setting is unknown or malformed; it names all of them.
        """
        env = os.environ if environment is None else environment
        path = env.get(SETTINGS_VARIABLE)
        named = {"namespace": env.get(NAMESPACE_VARIABLE), "relay_image": env.get(RELAY_VARIABLE)}
        layers = {**(_read(Path(path)) if path else {}), **{name: value for name, value in named.items() if value}}
        return cls.checked({**layers, **given}, source=f"settings of Kubernetes{f' ({path})' if path else ''}")

    @classmethod
    def checked(cls, given: Mapping[str, Any], *, source: str) -> Self:
        """Return settings of given values.

        Args:
            given: Settings by name.
            source: Where they come from, for the error text.

        Raises:
            SettingsError: A name is unknown or a value is malformed; it names all of them.
        """
        try:
            return cls.model_validate(dict(given))
        except pydantic.ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, it['loc']))}: {it['msg']} (got {it['input']!r})" for it in error.errors()
            )
            raise SettingsError(f"{source}: {problems}. Nothing was started.") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{SETTINGS_VARIABLE}: {path} cannot be read ({error}). Nothing was started.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(
            f"{SETTINGS_VARIABLE}: expected a mapping of settings in {path}, got {type(content).__name__}. Nothing was "
            "started."
        )
    return content
