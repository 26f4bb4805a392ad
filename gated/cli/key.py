"""gated key."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gated.cli.common import CommandResult, config_option, reports
from gated.errors import NotOwner, Refused, StorageError

if TYPE_CHECKING:
    from gated.config import Settings
    from gated.vault.seal_credential import Binding

UNITS = ("gated", "gated-service", "gated-hub")
SYSTEM = Path("/etc/systemd/system")
PLACES = (SYSTEM, Path("/usr/lib/systemd/system"))
RUNNING = Path("/run/credentials")
DROP_IN = """\
# made by `gated key protect`
[Service]
LoadCredentialEncrypted={credential}:{place}
"""


@click.group("key")
def key() -> None:
    """Say where the key of the sealed files is kept, and bind it to this machine.

    \b
    Example: gated key status
    """


@key.command("status")
@config_option
@reports
def status(config: Path | None) -> CommandResult:
    """Say where the key is kept that opens photos, templates and backups of this gate.

    \b
    Example: gated key status
    """
    from gated.vault.seal_credential import PLACE
    from gated.vault.sealing import is_elsewhere

    settings = _settings(config)
    state, file = settings.storage.state_dir, _file(settings)
    kept = "elsewhere" if is_elsewhere(state) else "file" if file.exists() else "none"
    credential = str(PLACE) if PLACE.exists() else None
    words = {
        "elsewhere": "outside of the state directory",
        "file": f"in {file}: whoever has the card of this machine can read it",
        "none": "nowhere yet: the first start makes it",
    }[kept]
    text = f"the sealing key is kept {words}"
    if credential:
        text += f"\nits credential is {credential}; with it start: {', '.join(_with_credential())}"
    record = {"kept": kept, "credential": credential, "units": _with_credential()}
    return CommandResult(record, text)


@key.command("protect")
@config_option
@click.option(
    "--with",
    "binding",
    type=click.Choice(["auto", "tpm2", "host", "host+tpm2"]),
    default="tpm2",
    show_default=True,
    help="What opens the key: the TPM of this machine, a file that only root reads, or both.",
)
@click.option(
    "--pcrs",
    default="23",
    show_default=True,
    help="Registers of the TPM that may not change, such as 7+23. Firmware updates change most.",
)
@click.option("--remove-file", is_flag=True, help="Second step: remove keys/seal.key.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reports
def protect(
    config: Path | None, binding: Binding, pcrs: str, remove_file: bool, yes: bool
) -> CommandResult:
    """Keep the sealing key as a systemd credential that only this machine can open.

    A stolen card is of no use then. In two steps: the first makes the credential, reads it back and
    lets the units start with it; after a restart the second one, --remove-file, removes the key
    from the state directory. Make a backup before (gated backup): it holds the key, and is the way
    back when the TPM or the board dies.

    \b
    Example: gated key protect && systemctl restart gated gated-service
    Example: gated key protect --remove-file
    """
    if os.geteuid() != 0:
        raise NotOwner("the credential is root's: type sudo gated key protect")
    settings = _settings(config)
    return _remove(settings, yes) if remove_file else _make(settings, binding, pcrs)


def _make(settings: Settings, binding: Binding, registers: str) -> CommandResult:
    from gated.vault.seal_credential import PLACE
    from gated.vault.seal_credential import protect as make_credential

    units = _installed()
    if not units:
        raise Refused("there is no unit of gated here: install its package first")
    make_credential(_key_in_file(settings), PLACE, binding, registers)
    _start_with_credential(units)
    text = (
        f"{PLACE} holds the key. Now: sudo systemctl restart {' '.join(units)}\n"
        "When they run well, and a backup is kept elsewhere: sudo gated key protect --remove-file"
    )
    return CommandResult({"credential": str(PLACE), "units": units, "file_removed": False}, text)


def _remove(settings: Settings, yes: bool) -> CommandResult:
    """Remove the key's file, once the credential is the same key and the units run with it."""
    from gated.vault.seal_credential import PLACE, unseal
    from gated.vault.sealing import CREDENTIAL, note_elsewhere

    if not PLACE.exists():
        raise Refused(f"there is no {PLACE}: sudo gated key protect")
    if unseal() != _key_in_file(settings):
        raise Refused(f"{PLACE} is another key than {_file(settings)}: sudo gated key protect")
    running = _running()
    if not running:
        raise Refused("nothing runs with the credential yet: start the gate first")
    for unit in running:
        if not (RUNNING / f"{unit}.service" / CREDENTIAL).exists():
            raise Refused(f"{unit} runs without the credential: sudo systemctl restart {unit}")
    if not yes:
        click.confirm(
            "Only this machine can open the key then. Is there a backup (gated backup) elsewhere?",
            abort=True,
        )
    state, file = settings.storage.state_dir, _file(settings)
    note_elsewhere(state)
    owner = state.stat()
    os.chown(state / "keys" / "seal.elsewhere", owner.st_uid, owner.st_gid)
    try:
        with open(file, "r+b") as held:
            held.write(bytes(file.stat().st_size))
            os.fsync(held.fileno())
        file.unlink()
    except OSError as error:
        raise StorageError(f"{file} cannot be removed: {error.strerror}") from None
    text = (
        f"{file} is removed. A card may keep what was overwritten: destroy one that leaves the "
        "house. Commands that need the key are typed with sudo"
    )
    return CommandResult({"credential": str(PLACE), "file_removed": True}, text)


def _settings(config: Path | None) -> Settings:
    """The settings, as root: nothing of the state is opened but keys."""
    from gated.cli.common import settings_alone

    return settings_alone(config)


def _file(settings: Settings) -> Path:
    return settings.storage.state_dir / "keys" / "seal.key"


def _key_in_file(settings: Settings) -> bytes:
    from gated.vault.sealing import read_private

    file = _file(settings)
    if not file.exists():
        raise Refused(f"there is no {file}: the key is not kept there")
    return read_private(file)


def _installed() -> list[str]:
    return [u for u in UNITS if any((place / f"{u}.service").exists() for place in PLACES)]


def _running() -> list[str]:
    shown = ["/usr/bin/systemctl", "is-active", "--quiet"]
    return [u for u in _installed() if subprocess.run([*shown, u]).returncode == 0]  # noqa: S603


def _with_credential() -> list[str]:
    return [unit for unit in _installed() if _drop_in(unit).exists()]


def _drop_in(unit: str) -> Path:
    return SYSTEM / f"{unit}.service.d" / "seal-key.conf"


def _start_with_credential(units: list[str]) -> None:
    from gated.vault.seal_credential import PLACE
    from gated.vault.sealing import CREDENTIAL

    try:
        for unit in units:
            _drop_in(unit).parent.mkdir(exist_ok=True)
            _drop_in(unit).write_text(DROP_IN.format(credential=CREDENTIAL, place=PLACE))
    except OSError as error:
        raise StorageError(f"{error.filename} cannot be written: {error.strerror}") from None
    subprocess.run(["/usr/bin/systemctl", "daemon-reload"], check=False)
