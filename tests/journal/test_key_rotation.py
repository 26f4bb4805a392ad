"""A new key for the journal: what was written stays right, and one key is in force, always."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from gated.config import GateSettings, Settings, StorageSettings
from gated.database.state_lock import StateLock
from gated.database.tables import journal as rows
from gated.database.tables import journal_seal
from gated.errors import StateLocked, StorageError
from gated.journal import alarm_store, key_rotation
from gated.journal.chain_tip import Head
from gated.journal.journal import Entry, Journal
from gated.live.journal_review import JournalReview
from gated.vault.sealing import make_next_journal_key
from tests.people.people import NOW, entry
from tests.storage import forger
from tests.workspaces import open_workspace


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    state = tmp_path / "state"
    return Settings(gate=GateSettings(name="gate"), storage=StorageSettings(state_dir=state))


def rotate(settings: Settings) -> str:
    with open_workspace(settings) as workspace:
        return JournalReview.of(workspace).rotate_key(actor="Grace", reason="a rule")


def write(settings: Settings, kind: str = "door_opened") -> str:
    with open_workspace(settings) as workspace:
        return workspace.journal.append([Entry(NOW, kind, {"mode": "locked"})])[0].chain


def whole(settings: Settings) -> None:
    """Nothing is wrong, and nobody was alarmed."""
    with open_workspace(settings) as workspace:
        for closely in (False, True):
            found = workspace.journal.verify(closely=closely)
            assert found.ok, found
            assert not any("anew" in note for note in found.notes)
        with workspace.database.read() as session:
            assert alarm_store.list_(session, standing=True) == []


def test_rows_under_both_keys_are_right_and_acted_on(settings: Settings) -> None:
    write(settings, "door_mode")
    before = (settings.storage.state_dir / "keys" / "journal.key").read_bytes()
    keys = {rotate(settings) for _ in range(3)}
    assert write(settings).endswith("/4")
    whole(settings)
    with open_workspace(settings) as workspace:
        journal = workspace.journal
        assert len(keys) == 3
        assert journal.public_key in keys
        with workspace.database.read() as session:
            assert journal.last_body(session, "door_mode") == {"mode": "locked"}
            ends = journal.sealed_ends(session)
            assert sorted(ends.values()) == [2, 2, 2, 3]
            assert "a rule" not in "".join(session.execute(sa.select(rows.c.body)).scalars())
    keys_there = settings.storage.state_dir / "keys"
    assert (keys_there / "journal.key").read_bytes() != before
    assert not (keys_there / "journal.key.next").exists()


def test_who_has_the_old_key_can_add_nothing(settings: Settings) -> None:
    chain = write(settings)
    with open_workspace(settings) as workspace:
        stolen = workspace.keys.signer
    rotate(settings)
    for where in (chain, f"{chain[:-1]}2"):
        with open_workspace(settings) as workspace:
            assert workspace.journal.verify().ok
            with workspace.database.write() as session:
                seq = forger.forge(session, where, "door_mode", {"mode": "free_access"})
                end = Head(where, seq, forger.newest(session, where).hash)
                signed = {**end.as_dict(), "signature": stolen.sign(end.message()).hex()}
                session.execute(sa.insert(journal_seal).values(signed))
            found = workspace.journal.verify()
            assert not found.ok
            with workspace.database.write() as session:
                for table in forger.TABLES:
                    these = table.c.chain == where, table.c.seq == seq
                    session.execute(sa.delete(table).where(*these))


def cut_off(at: int) -> Callable[[Settings], None]:
    """A rotation that ends at a step: 0 key made, 1 committed, 2 head file written."""

    def cut(settings: Settings) -> None:
        state = settings.storage.state_dir
        head = (state / "journal.head").read_bytes()
        with open_workspace(settings) as workspace:
            following = make_next_journal_key(state)
            if at:
                workspace.journal.rotate(NOW, following, "Grace", "a rule")
        if at == 1:
            (state / "journal.head").write_bytes(head)

    return cut


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_rotation_that_is_cut_off_leaves_the_old_key_or_the_new_one(
    settings: Settings, at: int
) -> None:
    chain = write(settings)
    cut_off(at)(settings)
    assert write(settings) == (f"{chain[:-1]}2" if at else chain)
    whole(settings)
    rotate(settings)
    write(settings)
    whole(settings)


def test_a_transaction_that_fails_changes_no_key(settings: Settings) -> None:
    chain = write(settings)
    with open_workspace(settings) as workspace:
        journal, before = workspace.journal, workspace.journal.public_key
        following = make_next_journal_key(settings.storage.state_dir)
        journal.rotations.mkdir()
        with pytest.raises(StorageError):
            journal.rotate(NOW, following, "Grace", "a rule")
        assert journal.public_key == before
        assert journal.append([entry()])[0].chain == chain
        journal.rotations.rmdir()
    whole(settings)


def test_nobody_rotates_while_the_program_runs(settings: Settings) -> None:
    write(settings)
    with StateLock(settings.storage.state_dir), pytest.raises(StateLocked):
        rotate(settings)
    whole(settings)


def test_a_command_that_was_open_meanwhile_writes_nothing_under_the_old_key(
    settings: Settings,
) -> None:
    write(settings)
    with open_workspace(settings) as early:
        rotate(settings)
        with pytest.raises(StorageError, match="rotated meanwhile"):
            early.journal.append([entry()])
    whole(settings)


def test_a_backup_from_before_a_rotation_comes_back_by_the_book(
    settings: Settings, tmp_path: Path
) -> None:
    """Database only; keys, head file and what was confirmed stay. The mode of the door holds."""
    write(settings, "door_mode")
    state = settings.storage.state_dir
    with open_workspace(settings) as workspace:
        workspace.database.truncate_log()
    shutil.copy(state / "attendance.db", tmp_path / "backup.db")
    rotate(settings)
    write(settings)
    for file in state.glob("attendance.db*"):
        file.unlink()
    shutil.copy(tmp_path / "backup.db", state / "attendance.db")
    with open_workspace(settings) as workspace:
        found = JournalReview.of(workspace).acknowledge(actor="Grace", reason="backup of Monday")
        assert found.problems
    assert write(settings).endswith("/3")
    with open_workspace(settings) as workspace:
        assert workspace.journal.verify().ok, workspace.journal.verify()
        with workspace.database.read() as session:
            assert alarm_store.list_(session, standing=True) == []
            assert workspace.journal.last_body(session, "door_mode") == {"mode": "locked"}


def test_no_other_key_comes_into_force_by_a_file(settings: Settings) -> None:
    """Somebody puts a next key beside, and a chain that it has begun by itself."""
    write(settings)
    state = settings.storage.state_dir
    with open_workspace(settings) as workspace:
        before = workspace.journal.public_key
        chain = f"{workspace.journal.gate_uid()}/2"
        forged = make_next_journal_key(state)
        told = key_rotation.KeyRotation(
            chain, before, forged.public_key().public_bytes_raw().hex()
        ).agreed_by(forged)
        other = Journal(workspace.database, forged, tmp_head(state))
        other.start_new_chain(NOW, "rotated")
        assert not told.is_agreed
    with open_workspace(settings) as workspace:
        assert workspace.journal.public_key == before


def tmp_head(state: Path) -> Path:
    shutil.copy(state / "journal.head", state / "other.head")
    return state / "other.head"


def test_a_damaged_file_of_rotations_is_kept_when_a_key_is_rotated_again(
    settings: Settings,
) -> None:
    write(settings)
    rotate(settings)
    place = settings.storage.state_dir / key_rotation.ROTATIONS
    damaged = place.read_bytes()[:-3]
    place.write_bytes(damaged)
    rotate(settings)
    assert place.with_name("journal.rotations.damaged").read_bytes() == damaged
    assert len(key_rotation.confirmed(place)) == 1
    whole(settings)
    rotate(settings)
    assert len(key_rotation.confirmed(place)) == 2
    assert place.with_name("journal.rotations.damaged").read_bytes() == damaged
