"""The common parts of the commands of an administrator: who acts, on whom, when, and tables."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gated.cli.common import column_widths, print_columns, settings_of

if TYPE_CHECKING:
    from gated.change import Change
    from gated.database.records import Group, Person
    from gated.workspace import Workspace

ACTOR = "command line"
NARROW = 80

T = TypeVar("T")


@contextmanager
def open_state(config: Path | None) -> Iterator[Workspace]:
    """Open the state of a gate or hub that has run here."""
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        yield workspace


@contextmanager
def changing(config: Path | None) -> Iterator[tuple[Workspace, Change]]:
    """Open the state and one change of it, which is made at the end of the block."""
    with open_state(config) as workspace, workspace.change(ACTOR) as change:
        yield workspace, change


def checked(schema: type[T], values: Mapping[str, Any]) -> T:
    """Make a body of the API of options. Raises: click.UsageError in the API's words."""
    from pydantic import ValidationError

    from gated.core.plain_words import in_plain_words

    try:
        return schema(**values)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, e['loc'])).replace('_', '-')}: "
            f"{in_plain_words(e['type'], e['msg'], e.get('ctx') or {})}"
            for e in error.errors()
        ]
        raise click.UsageError("; ".join(wrong)) from None


def given(**options: Any) -> dict[str, Any]:
    """Leave options out that nobody gave."""
    return {name: value for name, value in options.items() if value is not None}


def person_of(workspace: Workspace, code: str) -> Person:
    """Find a person by the personnel code. Raises: NotFound."""
    from gated.people.people import People

    return People.of(workspace).by_code(code)


def group_of(workspace: Workspace, name: str) -> Group:
    """Find a group by its name in any spelling. Raises: NotFound."""
    from gated.people import group_store

    with workspace.database.read() as session:
        (id_,) = group_store.ids(session, [name])
        return group_store.get(session, id_)


def site_time(workspace: Workspace, text: str | None, *, is_end: bool = False) -> datetime | None:
    """Read a time; without an offset it is one of the site's clock. Raises: click.BadParameter."""
    from gated.core.site_time import WRITTEN, at_clock, read_time
    from gated.people.zones import zone_here

    if text is None:
        return None
    with workspace.database.read() as session:
        zone = zone_here(workspace, session)
    now = datetime.fromtimestamp(workspace.clock.now().utc, UTC)
    try:
        if ":" in text and "-" not in text:
            return at_clock(text, now, zone)
        return read_time(text, zone, is_end=is_end)
    except ValueError:
        raise click.BadParameter(f"{text!r} is none of: {WRITTEN}, or 18:00 (today)") from None


def local(workspace: Workspace, at: datetime | None) -> str:
    """Write a time on the site's clock, to the minute."""
    from gated.people.zones import zone_here

    if at is None:
        return ""
    with workspace.database.read() as session:
        zone = zone_here(workspace, session)
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def show_rows(head: Sequence[str], rows: Sequence[Sequence[object]], nothing: str) -> None:
    """Print a table that fits the terminal: the widest columns are cut there, and nowhere else."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not texts:
        click.echo(nothing)
        return
    widths = column_widths((head, *texts))
    if sys.stdout.isatty():
        room = max(NARROW, shutil.get_terminal_size().columns) - 2 * (len(widths) - 1)
        while sum(widths) > room and max(widths) > 8:
            widths[widths.index(max(widths))] -= 1
    print_columns((head, *texts), widths)


def yes(flag: bool | None) -> str:
    """Write a mark for what is so."""
    return "yes" if flag else ""
