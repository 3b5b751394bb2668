"""Runs a step's container from an asset, in place of dagster-docker's ``PipesDockerClient``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg
from dagster_docker import PipesDockerClient
from dagster_pipes import PipesExtras

from drayage import dagster_internals
from drayage.dagster_internals import AnyContext, Context
from drayage.engine import Engine
from drayage.engines import EngineName, default_engine, engine_named
from drayage.errors import DrayageError, SettingsError
from drayage.exchange.directory import Exchange
from drayage.exchange.process_lock import own_process
from drayage.identity import Identity
from drayage.pipes.values import require_extras
from drayage.request import (
    AdapterName,
    StepRequest,
    plain_command,
    plain_environments,
    plain_login,
    require_image,
)
from drayage.secrets import Secret, read_secrets
from drayage.settings import ClientSettings, StepSettings, tag_overrides
from drayage.step.declared import declared_tags
from drayage.step.execution import Execution
from drayage.step.invocation import DrayageInvocation
from drayage.step.standby import StandbyPool
from drayage.step.start import StepHost
from drayage.sweeper.limits import SweepLimits
from drayage.sweeper.sweep import Sweeper
from drayage.verdict.failure import error_failure
from drayage.verdict.results import Reported, promised_assets, wanted_checks

_calls: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


class DrayageClient(PipesDockerClient):
    """Runs each step in its own container; a drop-in replacement for ``PipesDockerClient``.

    Args:
        env: Environment variables of every container.
        registry: ``url``, ``username`` and ``password`` of an image registry to log in to.
        context_injector: Replaces the exchange directory's context file.
        message_reader: Replaces the exchange directory's messages file.
        settings: Settings of every step; a call, an asset's tags and a run's tags override them.
        network: Network that every container joins; by default, ``DRAYAGE_NETWORK``.
        exchange_root: Root of the exchange directories; by default, ``DRAYAGE_EXCHANGE_ROOT``, then
            ``$DAGSTER_HOME/drayage``.
        deployment: Name that marks this deployment's containers as its own; by default, ``DRAYAGE_DEPLOYMENT``.
        secrets: Source of each secret, by name; each call names the secrets that its workload gets.
        implicit_materializations: Whether assets that nothing was reported for count as materialized, as they do
            with ``PipesDockerClient``.
        engine: The container engine, or its name (``docker`` or ``kubernetes``); None takes the one that
            ``DRAYAGE_ENGINE`` names, and Docker if it names none.
    """

    def __init__(
        self,
        env: Mapping[str, Any] | None = None,
        registry: Mapping[str, str] | None = None,
        context_injector: dg.PipesContextInjector | None = None,
        message_reader: dg.PipesMessageReader | None = None,
        *,
        settings: StepSettings | None = None,
        network: str | None = None,
        exchange_root: str | Path | None = None,
        deployment: str | None = None,
        secrets: Mapping[str, Secret] | None = None,
        implicit_materializations: bool = False,
        engine: Engine | EngineName | None = None,
    ) -> None:
        super().__init__(None, registry, context_injector, message_reader)
        # Values other than text are welcome here as they are in a call, where the stock client does not check them.
        self.env = dict(env or {})
        self._injector = context_injector
        self._reader = message_reader
        self._settings = settings or StepSettings()
        self._client_settings = ClientSettings.load(exchange_root=exchange_root, deployment=deployment, network=network)
        self._secrets = dict(secrets or {})
        self._implicit = implicit_materializations
        exchange = Exchange(self._client_settings.exchange_root)
        # Each step of a run may have its own client; all clients with the environment's engine share one standby pool.
        pool_of = StandbyPool if engine else StandbyPool.shared
        engine = engine_named(engine) if isinstance(engine, str) else engine or default_engine()
        self._host = StepHost(engine, exchange, pool_of(engine, exchange), self._client_settings.command_line)

    @classmethod
    def _is_dagster_maintained(cls) -> bool:
        return False

    def run(  # type: ignore[override]
        # It takes all arguments of the inherited method and more, and returns a subclass of its return type.
        self,
        *,
        context: AnyContext,
        image: str,
        extras: PipesExtras | None = None,
        command: str | Sequence[str | PathLike[str]] | None = None,
        env: Mapping[str, Any] | None = None,
        registry: Mapping[str, str] | None = None,
        container_kwargs: Mapping[str, Any] | None = None,
        secrets: Sequence[str] | Mapping[str, Secret] = (),
        reports: Sequence[Reported] | None = None,
        adapter: AdapterName | None = None,
        image_id: str | None = None,
        **overrides: Any,
    ) -> DrayageInvocation:
        """Run a container to its end, and judge it.

        Args:
            context: Dagster's context of the executing asset, op or asset check, in a run or called directly.
            image: Name or id of the image.
            extras: Values that the workload gets through Pipes in addition to Dagster's own context; of any size.
            command: Overrides the image's command.
            env: Environment variables in addition to the client's, which they override. A value may be of any type,
                and becomes text; None takes a variable of the image away.
            registry: As in the constructor.
            container_kwargs: Keyword arguments for docker-py's ``containers.create``; they override every setting.
            secrets: Names of declared secrets that the workload gets as files under ``/run/secrets``; a mapping
                declares them for this call.
            reports: The assets and checks that this call must report; None means all that are selected. Leave out what
                other calls of the step report, or the asset's own code.
            adapter: How metadata is read from the standard output of a program that does not use Pipes, as described
                in :mod:`drayage.pipes.adapter`.
            image_id: Id that the image had when the definitions were loaded from it; any other id is refused.
            overrides: Fields of :class:`drayage.StepSettings`, such as ``timeout_s=600`` or ``mounts=[…]``.

        Returns:
            What the workload reported, for ``get_results()`` and similar methods.

        Raises:
            dagster.Failure: The step is not green; the description says why and what to do.
        """
        call = _Call(
            image=image,
            extras=extras,
            command=command,
            env=env,
            registry=registry,
            container_kwargs=container_kwargs,
            secrets=secrets,
            reports=reports,
            adapter=adapter,
            image_id=image_id,
            overrides=overrides,
        )
        execution = self._execution(context, call)
        for _ in execution.results(streaming=False):
            pass
        return _completed(execution)

    def stream(self, *, context: AnyContext, image: str, **arguments: Any) -> Iterator[dg.PipesExecutionResult]:
        """Run a container to its end, and yield materializations and checks as they arrive.

        For steps with many assets: what was yielded stays recorded, even if the step fails afterwards.

        Args:
            context: Dagster's context of the executing step.
            image: Name or id of the image.
            arguments: The other arguments of :meth:`run`, by keyword.

        Yields:
            The reported materializations and checks.

        Raises:
            dagster.Failure: The step is not green.
        """
        own = {name: arguments.pop(name) for name in _ARGUMENTS if name in arguments}
        execution = self._execution(context, _Call(image=image, **own, overrides=arguments))
        yield from execution.results(streaming=True)

    def sweeper(self, instance: dg.DagsterInstance, limits: SweepLimits | None = None) -> Sweeper:
        """Return a sweeper for what this client's steps leave behind.

        Args:
            instance: Dagster's instance.
            limits: Retention limits.
        """
        return Sweeper(
            engine=self._host.engine,
            exchange=self._host.exchange,
            deployment=self._client_settings.deployment,
            instance=instance,
            limits=limits,
        )

    def _execution(self, given: AnyContext, call: "_Call") -> Execution:
        context = dagster_internals.executing(given)
        declared = {**self._secrets, **(call.secrets if isinstance(call.secrets, Mapping) else {})}
        container_kwargs = dict(call.container_kwargs or {})
        try:
            require_image(call.image)
            require_extras(call.extras)
            if call.adapter is not None and self._reader is not None:
                raise SettingsError("Use either an adapter or a custom message reader, not both. Nothing was started.")
            settings = self._step_settings(context, call.overrides)
            if settings.standby:
                self._require_standby_possible(call)
            request = StepRequest(
                context=context,
                identity=self._identity(context),
                image=call.image,
                settings=settings,
                command=plain_command(call.command),
                extras=call.extras,
                image_id=call.image_id,
                environment=plain_environments(
                    {
                        "env of the client": self.env,
                        "env": call.env,
                        "container_kwargs['environment']": container_kwargs.pop("environment", None),
                    }
                ),
                secrets=read_secrets(declared, call.secrets),
                secret_sources={name: declared[name] for name in call.secrets},
                container_kwargs=container_kwargs,
                promised=promised_assets(context, call.reports),
                checks=wanted_checks(context, call.reports),
                adapter=call.adapter,
                context_injector=self._injector,
                message_reader=self._reader,
                implicit_materializations=self._implicit,
            )
            if login := call.registry or self.registry:
                self._host.engine.login(**plain_login(login))
        except DrayageError as error:
            raise error_failure(str(error), error, {}) from error
        return Execution(request, self._host)

    def _require_standby_possible(self, call: "_Call") -> None:
        reasons = {
            "an adapter (a program that does not use Pipes does not wait for a context)": call.adapter,
            "a custom context injector": self._injector,
            "a custom message reader": self._reader,
            "container_kwargs (a run's record does not hold all of them)": call.container_kwargs,
        }
        if given := [reason for reason, value in reasons.items() if value]:
            raise SettingsError(f"A step with standby cannot have {' or '.join(given)}. Nothing was started.")

    def _identity(self, context: Context) -> Identity:
        step = dagster_internals.call_owner(context)
        # A step may call the client several times: each call has its own container and exchange directory.
        call = _calls.get(step, 0)
        _calls[step] = call + 1
        return Identity(
            deployment=self._client_settings.deployment,
            run_id=context.run.run_id,
            root_run_id=context.run.root_run_id or context.run.run_id,
            step=dagster_internals.step_key(context),
            attempt=context.retry_number,
            call=call,
            instance=dagster_internals.recording_instance(context) or own_process(self._host.exchange.root),
        )

    def _step_settings(self, context: Context, overrides: Mapping[str, Any]) -> StepSettings:
        settings = self._settings.overridden(overrides, source=f"arguments of {type(self).__name__}")
        if self._client_settings.network:
            networks = dict.fromkeys((self._client_settings.network, *settings.networks))
            settings = settings.overridden({"networks": tuple(networks)}, source="network")
        settings = settings.overridden(tag_overrides(declared_tags(context)), source="tags of the asset")
        return settings.overridden(tag_overrides(context.run.tags), source="tags of the run")


@dataclass(frozen=True, kw_only=True)
class _Call:
    """The arguments of one call, as :meth:`DrayageClient.run` describes them."""

    image: str
    extras: PipesExtras | None = None
    command: str | Sequence[str | PathLike[str]] | None = None
    env: Mapping[str, Any] | None = None
    registry: Mapping[str, str] | None = None
    container_kwargs: Mapping[str, Any] | None = None
    secrets: Sequence[str] | Mapping[str, Secret] = ()
    reports: Sequence[Reported] | None = None
    adapter: AdapterName | None = None
    image_id: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


_ARGUMENTS = _Call.__dataclass_fields__.keys() - {"image", "overrides"}


def _completed(execution: Execution) -> DrayageInvocation:
    if execution.invocation is None:
        raise DrayageError("The step ended without a verdict. This is an error in drayage: please report it.")
    return execution.invocation
