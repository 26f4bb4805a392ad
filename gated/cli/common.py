"""Share the configuration option and progress bars among commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gated.config import Settings

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),  # the reason is reported later
    help="Configuration file. Default: $GATED_CONFIG, ./gate.yaml, /etc/gated/gate.yaml.",
)


def one_line(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Clean the text of an option as the API does: it goes into the journal and onto screens.

    Raises: click.BadParameter for one that is empty or has a character that cannot be seen.
    """
    from gated.core.text import clean_text
    from gated.errors import TextRefused

    if value is None:
        return None
    try:
        cleaned = clean_text(value, "it")
    except TextRefused as error:
        raise click.BadParameter(str(error), ctx, option) from None
    if not cleaned:
        raise click.BadParameter("it must not be empty", ctx, option)
    return cleaned


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command: a record for scripts, and sentences for people."""

    record: Any
    text: str


def reports(command: Callable[..., CommandResult]) -> Callable[..., None]:
    """Give a command the option --json, and print what it returns one way or the other."""

    @wraps(command)
    def run(*, as_json: bool, **given: Any) -> None:
        result = command(**given)
        if as_json:
            show_json(result.record)
        else:
            click.echo(result.text)

    return json_option(run)


def show_json(record: Any) -> None:
    """Print what a script reads, in a terminal that knows no Unicode with escapes of JSON."""
    unicode = sys.stdout.encoding.lower().startswith("utf")
    click.echo(json.dumps(record, indent=2, ensure_ascii=not unicode, default=_written))


def _written(value: object) -> str:
    """Write a date or time as the API does (ISO 8601)."""
    return value.isoformat() if isinstance(value, date) else str(value)


def settings_of(config: Path | None) -> Settings:
    """The settings that a command works with, which goes on as the owner of the state directory.

    What it writes for its user is opened before. Raises: ConfigError with every mistake, NotOwner.
    """
    from gated.cli.owner import become_owner
    from gated.config import load
    from gated.fleet.gate.config_trial import settings_in_force

    become_owner(load(config).storage.state_dir)
    return settings_in_force(config)


def settings_alone(config: Path | None) -> Settings:
    """The settings that a command works with which opens nothing of the state. ConfigError."""
    from gated.fleet.gate.config_trial import settings_in_force

    return settings_in_force(config)


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of as many texts as the head has, each column as wide as it must be."""
    print_columns((head, *rows), column_widths((head, *rows)))


def column_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return how many cells of a terminal each column takes: some characters take two, or none."""
    from rich.cells import cell_len

    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]


def print_columns(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
    """Print rows in columns of so many cells; longer texts are cut."""
    for row in rows:
        cells = (_fitted(text, width) for text, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _fitted(text: str, width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text + " " * (width - cell_len(text))
    return f"{set_cell_size(text, width - 1)}…"


class ProgressBar:
    """A bar on standard error from the first report on; nothing where that is not a terminal."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Progress | None = None

    def __call__(self, items: Sequence[T]) -> Iterator[T]:
        """The items, each counted when it is done with."""
        for done, item in enumerate(items):
            self.show(done, len(items))
            yield item
        self.show(len(items), len(items))

    def show(self, done: int, total: int) -> None:
        """So much is done; a total of 0: unknown."""
        bar = self._bar = self._bar or self._started()
        if bar is not None:
            bar.update(bar.task_ids[0], completed=done, total=total or None)

    def _started(self) -> Progress | None:
        if not sys.stderr.isatty():
            return None
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        bar = Progress(*columns, console=Console(file=sys.stderr))
        bar.add_task(self._title, total=None)
        bar.start()
        return bar

    def stop(self) -> None:
        """Leave the bar as it is on the screen."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def progress_bar(title: str) -> Iterator[ProgressBar]:
    """A progress bar that ends with the block."""
    bar = ProgressBar(title)
    try:
        yield bar
    finally:
        bar.stop()
