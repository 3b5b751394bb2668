"""Defines the run launcher that people name in ``dagster.yaml``."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import dagster as dg
from dagster_docker import DockerRunLauncher

from drayage.dagster_internals import instance_id, launching
from drayage.docker.run_workers import RunWorkers
from drayage.errors import DrayageError
from drayage.launcher.blueprint import Blueprint
from drayage.launcher.pool import Pool
from drayage.settings import ClientSettings


class StandbyRunLauncher(DockerRunLauncher):
    """Launches runs in containers, as dagster-docker's ``DockerRunLauncher`` does, and keeps some ready for them.

    A run worker on standby was made as an ordinary one would be, from the same image, environment and settings, and
    has loaded Dagster and the definitions. It executes one run. Where none is ready that was made from exactly what
    the run needs, the run is launched in the ordinary way, and its log says why.

    ``drayage daemon`` keeps them ready; without it every launch is an ordinary one.

    Args:
        standby: How many run workers are kept ready for each code location.
        settings: The settings of ``DockerRunLauncher``.
    """

    def __init__(self, inst_data: Any = None, standby: int = 1, **settings: Any) -> None:
        super().__init__(inst_data=inst_data, **settings)
        self.standby = standby

    @classmethod
    def config_type(cls) -> Any:
        """Return the settings in ``dagster.yaml``."""
        return {
            **launching.DOCKER_CONFIG_SCHEMA,
            "standby": dg.Field(
                dg.IntSource,
                default_value=1,
                description="How many run workers are kept ready for each code location.",
            ),
        }

    @cached_property
    def pool(self) -> Pool:
        """The run workers on standby."""
        return Pool(RunWorkers(), deployment=ClientSettings.load().deployment, instance_id=instance_id(self._instance))

    def launch_run(self, context: launching.LaunchRunContext) -> None:
        """Give a run to a run worker on standby; where none is ready, launch one for it.

        Args:
            context: The run, and the workspace that it was launched from.
        """
        run = context.dagster_run
        container, why = self._hand_over(context)
        if container is not None:
            message = f"Run worker {container} was on standby, and has the run"
            self._instance.report_engine_event(message, run, cls=self.__class__)
            return
        now = self._instance.get_run_by_id(run.run_id)
        if now is not None and (now.is_finished or now.status == dg.DagsterRunStatus.STARTED):
            # A run worker took it and died at once: the run monitor finds it so, as it finds any other.
            message = "The run is not launched again: a run worker on standby began it, and is gone"
            self._instance.report_engine_event(message, run, cls=self.__class__)
            return
        self._instance.report_engine_event(f"Launching a run worker: {why}", run, cls=self.__class__)
        super().launch_run(context)

    def blueprint(self, origin: str, load_data: str, code_server_id: str) -> Blueprint:
        """Return what a run worker for runs of a repository is made from now.

        Args:
            origin: The repository, as Dagster writes it.
            load_data: The state that its definitions were made from, as Dagster writes it; empty if none.
            code_server_id: Id of its code server.

        Raises:
            DrayageError: The engine does not have the image, or does not answer.
            Exception: The settings name an environment variable that is not set, or no image.
        """
        run = launching.run_like(origin)
        image: str = self._get_docker_image(run.job_code_origin)  # type: ignore[no-untyped-call]  # dagster-docker's
        context = self.get_container_context(run)
        options = {name: value for name, value in context.container_kwargs.items() if name != "stop_timeout"}
        labels = options.pop("labels", {})
        return Blueprint(
            image=image,
            image_id=self.pool.image_id(image),
            python=launching.python_of(origin),
            origin=origin,
            load_data=load_data,
            code_server_id=code_server_id,
            instance_ref=launching.instance_ref_of(self._instance),
            environment=launching.environment(context.env_vars),
            networks=list(context.networks),
            labels=labels if isinstance(labels, Mapping) else dict.fromkeys(labels, ""),
            options=options,
        )

    def _hand_over(self, context: launching.LaunchRunContext) -> tuple[str | None, str]:
        run = context.dagster_run
        try:
            server_id = launching.code_server_id(context.workspace, run)
            if server_id is None:
                return None, "run workers on standby are for runs of a code server, which this one has none of"
            load_data = launching.load_data_of_run(self._instance, run)
            blueprint = self.blueprint(launching.origin_of(run), load_data, server_id)
            return self.pool.hand_over(blueprint, run.run_id)
        except (DrayageError, *launching.UNREACHABLE) as error:
            return None, f"none on standby could be asked ({' '.join(str(error).split())})"
