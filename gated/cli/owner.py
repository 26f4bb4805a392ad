"""Works as the owner of the state directory, whoever types a command.

Root gives its rights away for good before anything of the gate is opened. Only the right to read
files stays while a command runs, so that photos, or a program, that only root may read are of use;
what a child process executes does not inherit it. Other users see what to type.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shlex
import sys
from pathlib import Path

from gated.errors import NotOwner, StorageError
from gated.vault.seal_credential import PLACE, unseal
from gated.vault.sealing import VARIABLE, is_elsewhere

_KEEP_CAPABILITIES = 8
_DAC_READ_SEARCH = 1 << 2
_VERSION_3 = 0x2008_0522
LONGEST_SHOWN = 300
"""Characters of a command that is shown to be typed again."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


class _Rights:
    """Of this process."""

    has_changed = False


_rights = _Rights()


def become_owner(state_dir: Path) -> None:
    """Go on as the owner of the state directory; of one that is still to be made, of its parent.

    Root keeps the right to read until `stop_reading`. Raises: NotOwner, StorageError.
    """
    owner, user = _owner_of(state_dir), os.geteuid()
    if user == owner.st_uid:
        return
    if user != 0:
        if not _is_usable(state_dir):
            raise NotOwner(f"{state_dir} belongs to {_name(owner.st_uid)}: type {_with_sudo()}")
        return
    _take_key(state_dir)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0)
    groups = _groups_of(owner)
    try:
        os.setgroups(groups)
        os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
    except OSError as error:
        raise StorageError(
            f"{state_dir} belongs to {_name(owner.st_uid)}, which this process may not become: "
            f"{error.strerror}"
        ) from None
    _rights.has_changed = True
    os.environ["HOME"] = _home(owner.st_uid)
    os.environ["USER"] = os.environ["LOGNAME"] = _name(owner.st_uid)
    # where root may not keep it (some containers), nothing is left, which is less and never more
    if not _set_capabilities(libc, _DAC_READ_SEARCH):
        stop_reading()


def _take_key(state_dir: Path) -> None:
    """Open the credential of the sealing key while this is root, as systemd does for the units.

    Raises: StorageError.
    """
    given = VARIABLE in os.environ or "CREDENTIALS_DIRECTORY" in os.environ
    if not given and is_elsewhere(state_dir) and PLACE.exists():
        os.environ[VARIABLE] = unseal().hex()


def stop_reading() -> None:
    """Give up the right to read what others own; a working directory that is one is left.

    Raises: NotOwner when the program itself is where its user may not read it.
    """
    if not _rights.has_changed:
        return  # what a service manager gave stays
    _set_capabilities(ctypes.CDLL(None, use_errno=True), 0)
    if not os.access(".", os.R_OK | os.X_OK):
        os.chdir("/")
    if not os.access(os.__file__, os.R_OK):
        name, place = _name(os.geteuid()), Path(os.__file__).parent
        raise NotOwner(f"{name} may not read {place}: install Python where everybody may")


def _set_capabilities(libc: ctypes.CDLL, kept: int) -> bool:
    sets = (_Sets * 2)()
    sets[0].effective = sets[0].permitted = kept
    return bool(libc.capset(ctypes.byref(_Header(_VERSION_3, 0)), sets) == 0)


def _owner_of(state_dir: Path) -> os.stat_result:
    """Return the state of the directory, or of the nearest one above that exists."""
    for place in (state_dir, *state_dir.parents):
        try:
            return place.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            if os.geteuid() != 0:
                raise NotOwner(
                    f"{place} cannot be looked into as {_name(os.geteuid())}: type {_with_sudo()}"
                ) from None
            raise StorageError(f"{place} cannot be used: {error.strerror}") from None
    raise StorageError(f"{state_dir} cannot be used")


def _is_usable(state_dir: Path) -> bool:
    """Return whether somebody else may work here all the same, as by a group of a container's."""
    return not state_dir.exists() or os.access(state_dir, os.R_OK | os.W_OK | os.X_OK)


def _groups_of(owner: os.stat_result) -> list[int]:
    """List the groups of the owner, by which devices may be used."""
    try:
        return os.getgrouplist(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
    except KeyError:
        return [owner.st_gid]


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _home(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_dir
    except KeyError:
        return "/"


def _with_sudo() -> str:
    """Return what is typed instead, as it was typed where that is short."""
    typed = shlex.join(["sudo", "gated", *sys.argv[1:]])
    return typed if len(typed) <= LONGEST_SHOWN else f"sudo gated {sys.argv[1]} ..."
