"""The command ``python -m nyc_taxi.landing``."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from rich.console import Console

from nyc_taxi.landing.errors import LandingError
from nyc_taxi.landing.folder import read_folder
from nyc_taxi.landing.land import Outcome, land
from nyc_taxi.landing.screen import Screen, say, summary
from nyc_taxi.landing.zone import Access, LandingZone

EXIT_REFUSED = 1
EXIT_NOT_LANDED = 2
EXIT_INTERRUPTED = 130

LANDING_URL = "s3://landing/yellow/"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class _Store(BaseSettings):
    """What the stack's environment file says of its object store."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    minio_port: int
    s3_access_key_id: str
    s3_secret_access_key: SecretStr


@app.command()
def land_folder(
    folder: Annotated[Path, typer.Argument(help="The folder with the TLC's monthly files.")],
    environment_file: Annotated[Path, typer.Option(help="The stack's environment file.")] = Path(".env"),
) -> None:
    """Upload the monthly files of a folder that are new, by content, to the landing zone."""
    console, errors = Console(), Console(stderr=True)
    outcome = Outcome()
    try:
        found = read_folder(folder.absolute())
        zone = LandingZone(_access(environment_file))
        with Screen(console, sum(file.size for file in found.files)) as screen:
            land(found, zone, screen, outcome)
    except LandingError as error:
        say(errors, str(error), "red")
        raise typer.Exit(EXIT_NOT_LANDED) from error
    except KeyboardInterrupt:
        landed = ", ".join(outcome.landed) or "no file"
        say(errors, f"Interrupted. Landed as a whole: {landed}. Run it again for the others.", "yellow")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    say(console, summary(outcome, zone.url))
    for name, reason in outcome.refused.items():
        say(errors, f"{folder / name} was refused: {reason}", "red")
    if outcome.refused:
        raise typer.Exit(EXIT_REFUSED)


def _access(environment_file: Path) -> Access:
    """Return the access to the landing zone for this machine's user.

    Raises:
        LandingError: The environment file is missing, unreadable or lacks settings.
    """
    try:
        store = _Store(_env_file=environment_file)  # type: ignore[call-arg]  # the fields come from the file
    except OSError as error:
        raise LandingError(
            f"The environment file {environment_file} cannot be read ({error.strerror}), and its keys are needed to "
            "write to the landing zone. Ask its owner, who started the stack, for permission to read it."
        ) from error
    except ValidationError as error:
        lacks = ", ".join(str(problem["loc"][0]).upper() for problem in error.errors())
        raise LandingError(
            f"The environment file {environment_file} lacks a valid {lacks}. 'make up' writes it and starts the "
            "services."
        ) from error
    return Access(
        endpoint=f"http://127.0.0.1:{store.minio_port}",
        region="us-east-1",
        url=LANDING_URL,
        key_id=store.s3_access_key_id,
        secret=store.s3_secret_access_key.get_secret_value(),
    )


if __name__ == "__main__":
    app()
