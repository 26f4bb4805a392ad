"""gated backup, backup-key, restore, as they are typed."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Gated
from tests.cli.test_maintenance import state_of

WORDS = "several words do well\n"


def test_a_backup_is_made_checked_and_put_in_place(
    gated: Gated, config: Path, tmp_path: Path
) -> None:
    state, file = state_of(config), tmp_path / "gate.backup"
    words = ("--passphrase-file", "-", "--config", config)
    made = gated("backup", file, *words, "--json", stdin=WORDS)
    assert made.code == 0, made.err
    assert made.json["database"] == "sqlite"
    assert file.stat().st_mode & 0o077 == 0
    assert gated("backup", file, *words, stdin=WORDS).code == 2, "it never writes over a file"

    checked = gated("restore", file, "--check", *words, stdin=WORDS)
    assert (checked.code, checked.out.splitlines()[-1]) == (
        0,
        "the backup can be restored; nothing was changed",
    )
    assert gated("restore", file, "--check", *words, stdin="another one than it\n").code == 5
    refused = gated("restore", file, *words, stdin=WORDS)
    assert refused.code == 1
    assert "--replace" in refused.err

    config.write_text(f"{config.read_text()}gate: {{name: north}}\n")
    done = gated("restore", file, "--replace", "--json", *words, stdin=WORDS)
    assert done.code == 0, done.err
    assert done.json["people"] == 3
    assert done.json["config"] == str(state / "restored-gate.yaml")
    assert list(state.glob("before-*/attendance.db"))
    assert gated("journal", "verify", "--config", config).code == 0


def test_a_key_seals_without_a_secret_at_the_gate(
    gated: Gated, config: Path, tmp_path: Path
) -> None:
    state_of(config)
    key, file = tmp_path / "backup.key", tmp_path / "gate.backup"
    public = gated("backup-key", key).out.strip()
    assert key.stat().st_mode & 0o077 == 0
    assert gated("backup-key", key).code == 2
    assert gated("backup", file, "--public-key", public, "--config", config).code == 0
    assert gated("backup", file, "--public-key", key.read_text(), "--config", config).code == 2
    words = ("restore", file, "--check", "--config", config)
    assert gated(*words, "--key-file", key).code == 0
    assert gated(*words, "--passphrase-file", "-", stdin=WORDS).code == 5


def test_nobody_can_be_asked_without_a_terminal(gated: Gated, config: Path, tmp_path: Path) -> None:
    state_of(config)
    refused = gated("backup", tmp_path / "file", "--config", config)
    assert refused.code == 2
    assert "--passphrase-file" in refused.err
    assert not (tmp_path / "file").exists(), "what failed leaves no file"


def test_a_short_passphrase_is_refused(gated: Gated, config: Path, tmp_path: Path) -> None:
    state_of(config)
    words = ("backup", tmp_path / "file", "--passphrase-file", "-", "--config", config)
    assert gated(*words, stdin="secret\n").code == 1
    assert not (tmp_path / "file").exists()
