"""``drayage shell``: opens a shell in a step's container, in a copy of it, or in a new one like it."""

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from drayage.cli.screen import AttemptName, Run, Setup, Step, note
from drayage.debugger import SHELL, is_terminal
from drayage.engine import ContainerState
from drayage.errors import SettingsError
from drayage.exchange.history import PastAttempt, container_of, require_record
from drayage.identity import EXCHANGE
from drayage.replay.prepare import Overrides, prepare
from drayage.step.launch import spec_of


def shell(
    ctx: typer.Context,
    run: Run,
    step: Step,
    *,
    command: Annotated[
        str | None, typer.Option("--command", "-c", help="Run this command instead of an interactive shell.")
    ] = None,
    toolbox: Annotated[
        str | None,
        typer.Option(envvar="DRAYAGE_TOOLBOX_IMAGE", help="Image with a shell, for a step whose image has none."),
    ] = None,
    attempt: AttemptName = None,
) -> None:
    """Open a shell in the running container, in a copy of the kept one, or in a new one of the same image."""
    if command is None and not is_terminal():
        raise SettingsError(
            "A shell needs a terminal: use -it with `docker exec` or `kubectl exec`, or name a command with --command."
        )
    setup: Setup = ctx.obj
    found = setup.history.step(run, step, attempt)
    words = [SHELL] if command is None else [SHELL, "-c", command]
    container = container_of(found, setup.engine)
    asked = _Shell(setup, words, toolbox)
    if container is not None and container.status == "running":
        raise typer.Exit(asked.in_running(container))
    raise typer.Exit(asked.in_copy(found, container))


@dataclass(frozen=True)
class _Shell:
    """The shell, or the command, that was asked for."""

    setup: Setup
    words: Sequence[str]
    toolbox: str | None

    def in_running(self, container: ContainerState) -> int:
        """Run it in the step's own container, or beside it if that has no shell; return the exit code."""
        note(f"In the running container {container.short_id} ({container.name}).")
        if self.setup.debugger.has_shell(container.id):
            return self.setup.debugger.execute(container.id, self.words)
        toolbox = self._require_toolbox(container.image)
        note(f"It has no shell: {toolbox} beside it sees its processes, network and volumes (its files: /proc/1/root).")
        image = self.setup.engine.resolve(toolbox, pull="missing")
        return self.setup.debugger.run_beside(self.setup.engine, container.id, image, self.words)

    def in_copy(self, found: PastAttempt, container: ContainerState | None) -> int:
        """Run it in a copy of the kept container, or in a new one of the same image; return the exit code.

        If the image has no shell, a new container of the toolbox is used instead.
        """
        record = require_record(found)
        committed = None if container is None else self.setup.debugger.commit(container.id)
        try:
            if container is None or committed is None:
                where = "a new container"
            else:
                where = f"a copy of the kept container {container.short_id}"
            which = "" if record.image_id == record.image else f" ({record.image_id[:19]})"
            note(f"In {where} of {record.image}{which}; changes here do not affect the step's own.")
            shown = found
            if committed is not None:
                shown = replace(found, record=record.model_copy(update={"image_id": committed}))
            code = self._in_new(shown, Overrides())
            if code is None:
                toolbox = self._require_toolbox(record.image)
                note(f"It has no shell: {toolbox} with its mounts, environment and network, without its files.")
                code = self._in_new(found, Overrides(image=self.setup.engine.resolve(toolbox, pull="missing")))
        finally:
            if committed is not None:
                self.setup.debugger.remove_image(committed)
        if code is None:
            raise SettingsError(f"Toolbox {self.toolbox} has no {SHELL} either: use an image that has one.")
        return code

    def _in_new(self, found: PastAttempt, overrides: Overrides) -> int | None:
        """Run it in a new container; return the exit code, or None if the image has no shell."""
        setup = self.setup
        prepared = prepare(found, overrides, engine=setup.engine, exchange=setup.exchange, require_all=False)
        labels = {**prepared.request.identity.labels(), EXCHANGE: prepared.attempt.name}
        with contextlib.ExitStack() as last:
            last.callback(shutil.rmtree, prepared.attempt.path)
            for text in prepared.notes:
                note(f"Note: {text}.")
            request = replace(
                prepared.request,
                command=None,
                settings=prepared.request.settings.overridden({"init": False}, source="shell"),
            )
            mailbox = setup.engine.mailbox(prepared.attempt.io, labels=labels)
            # After the container's end, which needs it until then.
            last.callback(mailbox.collect)
            if prepared.context is not None:
                mailbox.put_context(prepared.context)
            spec = spec_of(request, prepared.attempt, mailbox, prepared.bootstrap)
            return setup.debugger.run_new(setup.engine, spec, self.words)

    def _require_toolbox(self, image: str) -> str:
        if self.toolbox is None:
            raise SettingsError(
                f"Image {image} has no {SHELL}: name an image that has one with --toolbox or DRAYAGE_TOOLBOX_IMAGE, "
                "and it is started beside the step."
            )
        return self.toolbox
