"""What every command of `drayage` has in common."""

from typer.main import get_group

from drayage.cli.app import app


def test_every_command_that_ends_by_itself_offers_json() -> None:
    commands = get_group(app).commands
    silent = {name for name, command in commands.items() if not any("--json" in each.opts for each in command.params)}
    assert silent == {"shell", "daemon"}
