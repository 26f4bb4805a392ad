"""Keeps the sealing key as an encrypted systemd credential, bound to the TPM or to this system.

systemd opens it for the units that name it (LoadCredentialEncrypted), and `systemd-creds` for root.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from pathlib import Path
from typing import Literal

from gated.errors import Refused, StorageError
from gated.vault.sealing import CREDENTIAL, decoded, sync_directory

PLACE = Path("/etc/gated/seal.cred")
PROGRAM = "systemd-creds"
NO_LIBRARIES = "TPM2 support not installed"
LIBRARIES = "the libraries libtss2-esys and libtss2-rc, which systemd loads for a TPM"

LONGEST_S = 60.0
"""A TPM takes seconds."""

UNCHANGED = "23"
"""The register of the TPM that is left to applications, which none here writes. systemd 252 opens
no credential that depends on no register at all."""

Binding = Literal["auto", "tpm2", "host", "host+tpm2"]
"""What opens it again: the TPM, a file that root reads (`host`), both; auto: what there is."""


def protect(
    key: bytes, place: Path = PLACE, binding: Binding = "auto", registers: str = UNCHANGED
) -> None:
    """Write the key as a credential, and read it back, before it takes the place of another.

    registers: of the TPM (PCR) that have to be as they are now, such as `7+23`. An update of the
    firmware changes most of them, and the key would not come back. Raises: Refused where systemd
    has no such program, StorageError when it cannot be made.
    """
    new = place.with_name(f".{place.name}.new")
    new.unlink(missing_ok=True)
    try:
        _asked(
            "encrypt", f"--with-key={binding}", f"--tpm2-pcrs={registers}",
            f"--name={CREDENTIAL}", "-", str(new),
            given=base64.b64encode(key) + b"\n",
        )  # fmt: skip
        new.chmod(0o600)
        if unseal(new) != key:
            raise StorageError(f"{place}: the key does not come back from the credential")
        with open(new, "rb") as file:
            os.fsync(file.fileno())
        new.replace(place)
        sync_directory(place.parent)
    except OSError as error:
        raise StorageError(f"{place} cannot be written: {error.strerror}") from None
    finally:
        new.unlink(missing_ok=True)


def unseal(place: Path = PLACE) -> bytes:
    """Return the key of 32 bytes in a credential. Raises: Refused, StorageError."""
    return decoded(_asked("decrypt", f"--name={CREDENTIAL}", str(place), "-"), str(place))


def _asked(*words: str, given: bytes = b"") -> bytes:
    program = shutil.which(PROGRAM)
    if program is None:
        raise Refused(f"{PROGRAM} is missing: systemd 250 or later has it")
    try:
        done = subprocess.run(  # noqa: S603 - a program of the system
            [program, *words], input=given, capture_output=True, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:
        raise StorageError(f"{PROGRAM} {words[0]} does not answer: look at the TPM") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it failed"]
        todo = f" (install {LIBRARIES})" if NO_LIBRARIES in said[-1] else ""
        raise StorageError(f"{PROGRAM} {words[0]}: {said[-1]}{todo}")
    return done.stdout
