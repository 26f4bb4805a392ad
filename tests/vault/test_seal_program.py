"""What systemd's program says when it cannot, and what to do then."""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.errors import StorageError
from gated.vault.seal_credential import protect


def test_missing_libraries_of_a_tpm_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "systemd-creds"
    program.write_text("#!/bin/sh\necho 'TPM2 support not installed: Not supported' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(StorageError, match="install the libraries libtss2-esys and libtss2-rc"):
        protect(bytes(32), tmp_path / "seal.cred", "tpm2")
    assert not (tmp_path / "seal.cred").exists()
