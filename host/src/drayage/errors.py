"""Everything that drayage raises, as one tree.

::

    DrayageError
    ├── SettingsError            a setting is missing or malformed; nothing was started
    ├── PromiseError             an asset's promises cannot be read
    ├── NotFoundError            no recorded run, step or attempt is what was asked for
    ├── BuildError               a workload's image could not be built from its folder
    ├── ExchangeError            the exchange directory cannot be written or reached
    └── EngineError              the container engine refused or failed
        ├── EngineUnavailableError   it does not answer
        ├── ImageMissingError        the image is not there and could not be pulled
        ├── ImageChangedError        it is another one than the step was defined for
        ├── EntrypointError          the image's command cannot be started
        ├── EngineDiskFullError      it has no space left
        └── ContainerGoneError       the container was removed by someone else

Inside a step each of them ends as a :class:`dagster.Failure` that carries the same sentence.
"""


class DrayageError(Exception):
    """Base of everything that drayage raises by itself."""


class SettingsError(DrayageError):
    """A setting is missing or malformed; no container was started."""


class PromiseError(DrayageError):
    """The promises of an asset cannot be read."""


class NotFoundError(DrayageError):
    """No recorded run, step or attempt is what was asked for, or several are."""


class BuildError(DrayageError):
    """A workload's image could not be built from its folder."""


class ExchangeError(DrayageError):
    """The exchange directory cannot be written, or the engine cannot reach it."""


class EngineError(DrayageError):
    """The container engine refused a request or failed at it."""


class EngineUnavailableError(EngineError):
    """The container engine does not answer."""


class ImageMissingError(EngineError):
    """The image is not on the engine and could not be pulled."""


class ImageChangedError(EngineError):
    """The image's name stands for another image than the step was defined for."""


class EntrypointError(EngineError):
    """The image's command cannot be started."""


class EngineDiskFullError(EngineError):
    """The engine has no space left on its disk."""


class ContainerGoneError(EngineError):
    """The container does not exist (any more)."""


class VolumeInUseError(EngineError):
    """The volume cannot be removed, since another container still refers to it."""
