"""The workloads, and how this pipeline starts their containers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drayage import EnvSecret, Mount
from nyc_taxi.settings import Images, Services

WORKLOAD_USER = "10001:10001"
MARTS_FOLDER = "/var/lib/marts"

_LAKE = (
    "iceberg_catalog_uri",
    "iceberg_warehouse",
    "s3_endpoint",
    "s3_region",
)
_LAKE_KEYS = ("s3_access_key_id", "s3_secret_access_key")
_LANDING_KEYS = ("landing_access_key_id", "landing_secret_access_key")
SECRETS = {name: EnvSecret(name.upper()) for name in (*_LAKE_KEYS, *_LANDING_KEYS)}
"""The source of each secret of the workloads, by the name of its file in the container."""


@dataclass(frozen=True)
class Workload:
    """A workload image as this pipeline uses it.

    Args:
        image: The image's name.
        container: The part of its containers' names between the deployment and the run.
        needs: The fields of ``Services`` that its containers get; they get no others.
        secrets: The names of the secrets that its containers get as files.
        image_id: The image's id when the definitions were loaded; None if the image was not inspected.
    """

    image: str
    container: str
    needs: tuple[str, ...]
    secrets: tuple[str, ...] = ()
    image_id: str | None = None

    def environment(self, services: Services) -> dict[str, str]:
        """Return the environment of the workload's containers.

        Args:
            services: The services' settings.

        Returns:
            The settings that the workload needs, by upper-case name.
        """
        return {name.upper(): str(getattr(services, name)) for name in self.needs}

    def settings(self, *mounts: Mount) -> dict[str, Any]:
        """Return the settings of the workload's containers.

        Args:
            mounts: What is mounted beside the exchange directory.

        Returns:
            Arguments of ``DrayageClient.run``.
        """
        return {
            "name": self.container,
            "user": WORKLOAD_USER,
            "no_new_privileges": True,
            "cap_drop": ("ALL",),
            "mounts": mounts,
            "secrets": self.secrets,
            # The images are built on this machine; a registry's image of the same name and tag would be a stranger's. A
            # digest is the same image everywhere.
            "pull": "missing" if "@" in self.image else "never",
            # No workload here does anything before it has read its context.
            "standby": True,
        }


@dataclass(frozen=True)
class Workloads:
    """The workloads of the pipeline."""

    generator: Workload
    flink_submit: Workload
    dbt_runner: Workload
    auditor: Workload


def describe_workloads(images: Images, image_ids: Mapping[str, str] | None = None) -> Workloads:
    """Describe the pipeline's workloads.

    Args:
        images: The images' names.
        image_ids: The ids by name, of the images that were inspected.

    Returns:
        The workloads.
    """
    ids = image_ids or {}
    return Workloads(
        generator=Workload(
            image=images.generator_image,
            container="data-generator",
            needs=("kafka_bootstrap_servers", "schema_registry_url", "s3_endpoint", "s3_region", "landing_url"),
            secrets=_LANDING_KEYS,
            image_id=ids.get(images.generator_image),
        ),
        flink_submit=Workload(
            image=images.flink_submit_image,
            container="flink-submit",
            needs=(
                "kafka_bootstrap_servers",
                "schema_registry_url",
                "flink_sql_gateway_url",
                "flink_jobmanager_url",
                "flink_ui_url",
                *_LAKE,
            ),
            secrets=_LAKE_KEYS,
            image_id=ids.get(images.flink_submit_image),
        ),
        dbt_runner=Workload(
            image=images.dbt_runner_image,
            container="dbt",
            needs=_LAKE,
            secrets=_LAKE_KEYS,
            image_id=ids.get(images.dbt_runner_image),
        ),
        auditor=Workload(
            image=images.auditor_image,
            container="audit",
            needs=("kafka_bootstrap_servers", "schema_registry_url", *_LAKE),
            secrets=_LAKE_KEYS,
            image_id=ids.get(images.auditor_image),
        ),
    )
