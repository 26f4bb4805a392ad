"""The sealing key in the keeping of a TPM (a software one, swtpm) and of systemd."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gated.errors import StorageError
from gated.vault.seal_credential import protect, unseal

KEY = bytes(range(32))
LIBRARIES = ("libtss2-tcti-swtpm.so.0", "libtss2-esys.so.0", "libtss2-rc.so.0", "libtss2-mu.so.0")
"""What systemd loads to speak to a TPM, and to swtpm."""


def _missing() -> str:
    places = [Path("/usr/lib"), Path("/usr/lib64")]
    gone = [n for n in LIBRARIES if not any(any(p.glob(f"*/{n}")) for p in places)]
    return ", ".join(gone)


pytestmark = [
    pytest.mark.skipif(shutil.which("systemd-creds") is None, reason="there is no systemd-creds"),
    pytest.mark.skipif(shutil.which("swtpm") is None, reason="there is no swtpm"),
    pytest.mark.skipif(bool(_missing()), reason=f"there is no {_missing()}"),
]

Tpm = Callable[[str], None]


@pytest.fixture
def tpm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tpm]:
    """Make the TPM of that name the one of this machine."""
    running = []

    def use(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        port = folder / "s"
        words = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}"]
        words += ["--server", f"type=unixio,path={port}"]
        words += ["--ctrl", f"type=unixio,path={port}.ctrl"]
        words += ["--flags", "not-need-init,startup-clear"]
        running.append(subprocess.Popen(words))
        for _ in range(200):
            if port.exists():
                break
            time.sleep(0.02)
        monkeypatch.setenv("SYSTEMD_TPM2_DEVICE", f"swtpm:path={port}")

    yield use
    for one in running:
        one.kill()
        one.wait()


def test_a_key_comes_back_from_the_tpm_that_has_it_and_from_no_other(
    tmp_path: Path, tpm: Tpm
) -> None:
    place = tmp_path / "seal.cred"
    tpm("one")
    protect(KEY, place, "tpm2")
    assert KEY not in place.read_bytes()
    assert place.stat().st_mode & 0o777 == 0o600
    tpm("another")
    with pytest.raises(StorageError, match="systemd-creds decrypt"):
        unseal(place)


def test_what_cannot_be_made_leaves_the_one_before(tmp_path: Path, tpm: Tpm) -> None:
    place = tmp_path / "seal.cred"
    tpm("one")
    protect(KEY, place, "tpm2")
    before = place.read_bytes()
    with pytest.raises(StorageError, match="systemd-creds encrypt"):
        protect(KEY, place, "tpm2", "no register")
    assert place.read_bytes() == before
    assert unseal(place) == KEY
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["seal.cred"]


def test_a_damaged_credential_is_no_key(tmp_path: Path, tpm: Tpm) -> None:
    place = tmp_path / "seal.cred"
    tpm("one")
    protect(KEY, place, "tpm2")
    content = place.read_bytes()
    place.write_bytes(content[: len(content) // 2])
    with pytest.raises(StorageError):
        unseal(place)
