"""Every command explains itself, and costs nothing before it is used."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gated import __version__
from gated.cli.main import cli
from tests.cli.conftest import Gated


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command below a group by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("words", [(), *commands(cli)], ids=" ".join)
def test_help_shows_an_example(gated: Gated, words: tuple[str, ...]) -> None:
    result = gated(*words, "--help")
    assert result.code == 0
    examples = [x for x in result.out.splitlines() if x.strip().startswith("Example: gated ")]
    assert examples
    for example in examples:
        assert example.split("Example: ")[1].split()[1 : 1 + len(words)] == list(words) or not words


def test_the_commands_that_are_promised_are_there() -> None:
    there = {" ".join(words) for words in commands(cli)}
    assert there >= {
        *("run", "check-config", "doctor", "enroll", "import", "replay", "bench"),
        *("user add", "user list", "user passwd", "user disable"),
        *("assets install", "assets list", "journal verify", "door lock", "db upgrade"),
    }


WITHOUT_JSON = {
    # they print a file's content, a key or a code, and nothing else
    *("completion", "backup-key", "door report", "journal key", "user setup-code"),
    # they write the file that was named
    *("attendance export", "privacy export", "incident export", "calibrate"),
    # they go on, and tell how it goes
    *("run", "update", "assets install", "db upgrade", "hub accept"),
    # they change keys or settings of this machine, by hand
    *("config forget", "journal acknowledge", "journal rotate-key"),
}


def test_every_command_has_an_answer_for_scripts() -> None:
    def options(words: tuple[str, ...]) -> set[str]:
        command: click.Command | None = cli
        for word in words:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), word)
        assert command is not None
        if isinstance(command, click.Group):
            return {"--json"}
        return {option for parameter in command.params for option in parameter.opts}

    without = {" ".join(words) for words in commands(cli) if "--json" not in options(words)}
    assert without == WITHOUT_JSON


def test_the_exit_codes_are_documented(gated: Gated) -> None:
    told = gated("--help").out.partition("Exit codes:")[2]
    assert set(re.findall(r"\d+", told)) == {"0", "1", "2", "3", "4", "5", "6", "7", "70"}


def test_the_version_is_told(gated: Gated) -> None:
    assert gated("--version").out.strip() == f"gated, version {__version__}"


def modules_after(*args: str | Path) -> set[str]:
    """What a fresh process has imported when the command has ended."""
    program = (
        "import sys\n"
        "from gated.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('MODULES', *sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, args)], capture_output=True, text=True, check=True
    )
    return set(done.stdout.partition("MODULES")[2].split())


HEAVY = {"cv2", "numpy", "sqlalchemy", "alembic", "fastapi", "uvicorn", "PIL", "rich", "dlib"}


def test_the_door_is_locked_without_vision_and_database(config: Path) -> None:
    loaded = modules_after("door", "lock", "--config", config)
    assert "gated.devices.emergency" in loaded
    assert not loaded & HEAVY


def test_help_and_check_config_import_nothing_heavy(config: Path) -> None:
    loaded = modules_after("--help")
    assert "gated.cli.run" in loaded
    assert not loaded & HEAVY
    assert not modules_after("check-config", config) & HEAVY
