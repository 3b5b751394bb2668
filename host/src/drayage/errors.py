"""Defines all of drayage's exceptions, as one tree.

::

    DrayageError
    ├── SettingsError            a setting is missing or malformed; nothing was started
    ├── PromiseError             an asset's promises cannot be read
    ├── NotFoundError            no recorded run, step or attempt matches, or several do
    ├── BuildError               a workload's image could not be built from its folder
    ├── ExchangeError            the exchange directory cannot be written or reached
    └── EngineError              the container engine refused or failed
        ├── EngineUnavailableError   it does not answer
        ├── ImageMissingError        the image is not there and could not be pulled
        │   ├── ImageNotPulledError      the image is not there and must not be pulled
        │   └── ImageRefusedError        the image is not there, and its registry has none of that name
        ├── ImageChangedError        the image is not the one that the step was defined for
        ├── EntrypointError          the image's command cannot be started
        ├── EngineDiskFullError      it has no space left
        └── ContainerGoneError       the container was removed by something else, or never existed

Inside a step, each of them becomes a :class:`dagster.Failure` with the same text.
"""


class DrayageError(Exception):
    """Base class of all exceptions that drayage raises.

    Its ``retry_may_help`` says whether the same step may succeed when it is tried again.
    """

    retry_may_help = True


class SettingsError(DrayageError):
    """A setting is missing or malformed; no container was started."""

    retry_may_help = False


class PromiseError(DrayageError):
    """An asset's promises cannot be read."""

    retry_may_help = False


class NotFoundError(DrayageError):
    """No recorded run, step or attempt matches what was asked for, or several do."""


class BuildError(DrayageError):
    """A workload's image could not be built from its folder."""


class ExchangeError(DrayageError):
    """The exchange directory cannot be written, or the engine cannot reach it."""


class EngineError(DrayageError):
    """The container engine refused a request, or failed to carry it out."""


class EngineUnavailableError(EngineError):
    """The container engine does not answer."""


class ImageMissingError(EngineError):
    """The image is not on the engine and could not be pulled."""


class ImageNotPulledError(ImageMissingError):
    """The image is not on the engine, and the pull policy is ``never``."""

    retry_may_help = False


class ImageRefusedError(ImageMissingError):
    """The image is not on the engine, and its registry has none of that name for this account."""

    retry_may_help = False


class ImageChangedError(EngineError):
    """The image's name now refers to an image other than the one that the step was defined for."""

    retry_may_help = False


class EntrypointError(EngineError):
    """The image's command cannot be started."""

    retry_may_help = False


class EngineDiskFullError(EngineError):
    """The engine has no space left on its disk."""


class ContainerGoneError(EngineError):
    """The container does not exist, or no longer does."""
