"""The command group, and how errors become exit codes. Commands are imported when they are used,
so that `gated door lock` needs neither OpenCV nor the database."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from importlib import import_module
from typing import NoReturn

import click

from gated import __version__
from gated.errors import GatedError, StorageError

COMMANDS = {
    "run": "run:run",
    "check-config": "maintenance:check_config",
    "config": "config:config",
    "doctor": "maintenance:doctor",
    "enroll": "people:enroll",
    "import": "people:import_people",
    "incident": "incident:incident",
    "replay": "replay:replay",
    "evaluate": "evaluate:evaluate",
    "calibrate": "evaluate:calibrate",
    "gallery": "gallery:gallery",
    "access": "access:access",
    "people": "people:people",
    "persons": "persons:persons",
    "groups": "groups:groups",
    "schedules": "schedules:schedules",
    "visitors": "visitors:visitors",
    "cards": "cards:cards",
    "attendance": "attendance:attendance",
    "inside": "attendance:inside",
    "user": "users:user",
    "assets": "assets:assets",
    "journal": "maintenance:journal",
    "door": "door:door",
    "clock": "clock:clock",
    "privacy": "privacy:privacy",
    "join": "sync:join",
    "sync": "sync:sync",
    "webhooks": "webhooks:webhooks",
    "directory": "directory:directory",
    "hub": "hub:hub",
    "tls": "tls:tls",
    "backup": "backup:backup",
    "backup-key": "backup:backup_key",
    "restore": "backup:restore",
    "key": "key:key",
    "update": "update:update",
    "db": "maintenance:db",
    "bench": "maintenance:bench",
    "completion": "completion:completion",
}

CRASH_EXIT = 70
READER_GONE = 141
"""As a shell reports of every program whose output nobody reads on: 128 and SIGPIPE."""

EXIT_CODES = """\b
Exit codes:
  0  done                       5  storage
  1  negative result, refusal   6  device
  2  usage, unreadable input    7  database is newer than the program
  3  configuration              70 crash
  4  assets or model
"""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports each when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name].split(":")
        command: click.Command = getattr(import_module(f"gated.cli.{module}"), attribute)
        return command


@click.group(
    cls=LazyGroup,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="gated")
def cli() -> None:
    """The daemon on a face-recognition gate: recognises people, drives the door, keeps the log.

    \b
    Example: gated enroll E17 anna.jpg --first-name Anna && gated run
    """


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of what is written to, a pipe or a file, and none of the program's."""


def main() -> NoReturn:
    """Run the command line and end the process with the documented exit code."""
    _replace_closed_streams()
    _show_what_the_terminal_lacks()
    output = sys.stdout
    try:
        result = cli.main(prog_name="gated", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(result if isinstance(result, int) else 0)
    except SystemExit:
        if sys.stdout is not output:
            # click has met a reader that is gone: its 1 would be a negative result
            sys.exit(READER_GONE)
        raise
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except GatedError as error:
        click.echo(f"gated: {error}", err=True)
        sys.exit(error.exit_code)
    except UnicodeEncodeError as error:
        click.echo(f"gated: {error.object!r} is not UTF-8 text", err=True)
        sys.exit(click.UsageError.exit_code)
    except BrokenPipeError:
        _forget_output()
        sys.exit(READER_GONE)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            _end_without_room(error)
        traceback.print_exc()
        click.echo("gated: this is a defect of the program; the lines above say where", err=True)
        sys.exit(CRASH_EXIT)


def _replace_closed_streams() -> None:
    """Open the null device for each standard stream that was closed, as by `>&-`.

    In the order of their descriptors, which no file of the gate's is to get.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _show_what_the_terminal_lacks() -> None:
    """Let a character that the terminal's encoding has not be shown as its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _end_without_room(error: OSError) -> NoReturn:
    place = f"{error.filename}: " if error.filename else ""
    click.echo(f"gated: {place}nothing more can be written: {error.strerror}", err=True)
    _forget_output()
    sys.exit(StorageError.exit_code)


def _forget_output() -> None:
    """Drop what is left in the buffer: it would fail again at the end of the process."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
