"""gated completion: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script by which a SHELL completes commands and options of gated.

    \b
    Example: gated completion bash | sudo tee /etc/bash_completion.d/gated
    Example: gated completion fish > ~/.config/fish/completions/gated.fish
    """
    from gated.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  (click has all three)
    click.echo(kind(cli, {}, "gated", "_GATED_COMPLETE").source())
