"""gated backup, backup-key, restore."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

import click

from gated.cli.common import config_option, json_option, one_line, progress_bar, settings_of
from gated.errors import SourceError

if TYPE_CHECKING:
    from gated.backup.sealed_stream import KeyLock, StreamOpener

passphrase_option = click.option(
    "--passphrase-file",
    type=click.File("r"),
    help="Read the passphrase from the first line of this file; -: from standard input.",
)


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@passphrase_option
@click.option(
    "--public-key",
    metavar="KEY",
    help="Seal for this key in place of a passphrase; `gated backup-key` makes one.",
)
@json_option
@config_option
def backup(
    file: Path,
    passphrase_file: TextIO | None,
    public_key: str | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Write everything that the gate keeps into a sealed FILE, while it runs; -: standard output.

    Database, photos, templates, keys, the erasure ledger and the configuration, as they are at one
    moment. The passphrase is asked for. Keep it apart from the file: without it, or without the
    private key, nobody can open the backup, and with it everybody can.

    \b
    Example: gated backup /mnt/stick/gate.backup
    Example: gated backup - --public-key gated-backup-public-... | ssh store 'cat > gate.backup'
    """
    from gated.backup.backup import make_backup
    from gated.config import find_config

    # opened by whoever types: the rest is done as the owner of the state
    with _new_file(file) as target:
        settings = settings_of(config)
        lock = _lock(passphrase_file, public_key)
        with progress_bar("MB") as bar:
            report = make_backup(
                settings,
                target,
                lock,
                config=find_config(config),
                show=lambda done, total: bar.show(done >> 20, total >> 20),
            )
    if as_json:
        click.echo(json.dumps(asdict(report)), err=str(file) == "-")
        return
    click.echo(
        f"{file}: {report.files} files, {report.bytes >> 20} MB of {report.gate}, "
        f"as of {report.created_at}",
        err=True,
    )


@click.command("backup-key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup_key(file: Path) -> None:
    """Make a key for backups: the private one into a new FILE, the public one is shown.

    Keep the file away from the gate, which needs the public key only.

    \b
    Example: gated backup-key backup.key
    """
    from gated.backup.sealed_stream import PrivateKey

    key = PrivateKey.make()
    with _new_file(file) as target:
        target.write(f"{key.text}\n".encode())
    click.echo(key.public_text)


@click.command("restore")
@click.argument("file", type=click.File("rb"))
@passphrase_option
@click.option("--key-file", type=click.File("r"), help="The private key that opens it.")
@click.option("--check", is_flag=True, help="Look at everything and change nothing.")
@click.option(
    "--replace", is_flag=True, help="Also over people and accounts that are there; kept beside."
)
@click.option(
    "--ledger",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A newer copy of erasures.ledger: who is in it stays erased.",
)
@click.option("--reason", callback=one_line, help="For the journal, why rows are missing.")
@json_option
@config_option
def restore(
    file: BinaryIO,
    passphrase_file: TextIO | None,
    key_file: TextIO | None,
    check: bool,
    replace: bool,
    ledger: Path | None,
    reason: str | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Put a backup in place of the state here, on the same machine or another; stop the gate first.

    Everything is looked at before anything is touched: the seal of the backup, the schema, the
    journal, each photo. What was there is kept in a folder beside. Whoever was erased since stays
    erased, as far as a ledger here tells, and the journal says that this was a restore.

    \b
    Example: gated restore /mnt/stick/gate.backup --check
    Example: gated restore /mnt/stick/gate.backup --replace
    """
    from gated.backup.restore import RestoreOptions
    from gated.backup.restore import restore as put_back
    from gated.config import find_config

    with contextlib.ExitStack() as stack:
        settings = settings_of(config)
        opener = _opener(passphrase_file, key_file)
        bar = stack.enter_context(progress_bar("done"))
        wishes = RestoreOptions(replace, check, ledger, find_config(config), reason or "")
        report = put_back(settings, file, opener, wishes, lambda done, total: bar.show(done, total))
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    for note in report.notes:
        click.echo(note, err=True)
    click.echo(
        f"{report.gate} as of {report.created_at}: {report.people} people, "
        f"{report.photos} photos, {report.rows} rows of the journal"
    )
    if check:
        click.echo("the backup can be restored; nothing was changed")
        return
    if report.erased_again:
        click.echo(f"erased again: {report.erased_again} people and photos")
    if report.kept:
        click.echo(f"what was here before is kept: {report.kept}; remove it when all is right")
    if report.config:
        click.echo(f"the backup has another configuration: compare {report.config}")


@contextmanager
def _new_file(file: Path) -> Iterator[BinaryIO]:
    """Open a new file that nobody else can read; a failure leaves none. Raises: SourceError."""
    if str(file) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise SourceError(f"{file} is there already: name another file") from None
    except OSError as error:
        raise SourceError(f"{file}: cannot be written: {error.strerror}") from None
    with os.fdopen(fd, "wb") as target:
        try:
            yield target
            target.flush()
            os.fsync(target.fileno())
        except BaseException:
            # who owns the state need not own the folder: then an empty file stays
            with contextlib.suppress(OSError):
                target.truncate(0)
            with contextlib.suppress(OSError):
                file.unlink()
            raise


def _lock(passphrase: TextIO | None, public_key: str | None) -> KeyLock:
    from gated.backup.sealed_stream import Passphrase, PublicKey

    if public_key is not None:
        if passphrase is not None:
            raise click.UsageError("a passphrase or a key, not both")
        return PublicKey.read(public_key)
    if passphrase is not None:
        return Passphrase(_first_line(passphrase))
    return Passphrase(_asked(confirm=True))


def _opener(passphrase: TextIO | None, key_file: TextIO | None) -> StreamOpener:
    from gated.backup.sealed_stream import Passphrase, PrivateKey

    if key_file is not None:
        if passphrase is not None:
            raise click.UsageError("a passphrase or a key, not both")
        return PrivateKey.read(_first_line(key_file))
    if passphrase is not None:
        return Passphrase(_first_line(passphrase))
    return Passphrase(_asked(confirm=False))


def _first_line(file: TextIO) -> str:
    line = file.readline(4096).rstrip("\r\n")
    if not line:
        raise click.UsageError("the file of the passphrase or key is empty")
    return line


def _asked(*, confirm: bool) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(
            "nobody can be asked for the passphrase: --passphrase-file FILE (-: standard input), "
            "or a key"
        )
    text: str = click.prompt(
        "Passphrase of the backup", hide_input=True, confirmation_prompt=confirm, err=True
    )
    return text
