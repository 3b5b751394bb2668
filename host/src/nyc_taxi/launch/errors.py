"""The launcher's errors; the text of each is shown as it is.

LaunchError
├── WebserverUnreachableError   nothing answers at the address, or it is not Dagster
├── CodeLocationError           Dagster runs, and has not loaded the pipeline
├── RequestRefusedError         Dagster understood the request and refuses it
└── RunStuckError               the run waits for something that does not happen
"""


class LaunchError(Exception):
    """The run could not be launched or followed."""


class WebserverUnreachableError(LaunchError):
    """Nothing answers at the webserver's address, or something that is not Dagster."""


class CodeLocationError(LaunchError):
    """Dagster has not loaded the pipeline."""


class RequestRefusedError(LaunchError):
    """Dagster understood the request and refuses it."""


class RunStuckError(LaunchError):
    """The run waits for something that does not happen."""
