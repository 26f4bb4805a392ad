"""What several commands share: the configuration option and progress bars."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gated.config import Settings, load

config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file. Default: $GATED_CONFIG, ./gate.yaml, /etc/gated/gate.yaml.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def settings_of(config: Path | None) -> Settings:
    """The settings that a command works with; ConfigError with every mistake."""
    return load(config)


class Report(Protocol):
    def __call__(self, done: int, total: int) -> None: ...


@contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """A bar on standard error while the block runs; nothing where that is not a terminal."""
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(title, total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield report
