"""One unit of work: all of it or nothing, its rows, its locks, and what follows the commit."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from gated.change import FEED, GALLERY, ROLLOUTS, RULES, Change
from gated.database import change_feed, request_origin, stored_settings
from gated.database.locks import RowLock
from gated.devices.clock import ManualClock
from gated.errors import Conflict, NotFound, StorageError
from gated.people import group_store, person_store
from gated.people.groups import Groups
from gated.workspace import Workspace
from tests.changes import done_by

ANNA: dict[str, Any] = {"first_name": "Anna", "last_name": "Arendt", "personnel_code": "E1"}


def rows(workspace: Workspace) -> list[tuple[str, int, str, str | None]]:
    """(kind, microseconds of UTC, role, payload) of the journal but for the beginning."""
    with workspace.database.read() as session:
        found = session.connection().exec_driver_sql(
            "SELECT kind, at_utc, role, payload FROM journal LEFT JOIN journal_private "
            "USING (chain, seq) WHERE kind <> 'chain_started' ORDER BY seq, role"
        )
        return [(str(r[0]), int(r[1]), str(r[2]), r[3]) for r in found]


def test_a_row_says_who_did_what_when_and_for_which_request(workspace: Workspace) -> None:
    clock = ManualClock(utc=1.9e9)
    with (
        request_origin.request_from("192.0.2.7", "req-1"),
        workspace.change("olga", clock) as change,
    ):
        person = person_store.add(change.session, **ANNA)
        clock.advance(60)
        change.record_person("person_created", person, ["first_name"])
        change.record("looked", {"n": 1}, by={"reason": "asked"})
        assert (change.actor, change.request_id) == ("olga", "req-1")
        assert change.at.utc == 1.9e9
    (_, at, _, actor), (_, _, role, subject), (_, later, _, why) = rows(workspace)
    assert at == later == 1_900_000_000_000_000, "both rows are of one moment"
    origin = {"name": "olga", "address": "192.0.2.7", "request": "req-1"}
    assert json.loads(actor or "") == origin
    assert json.loads(why or "") == {**origin, "reason": "asked"}
    assert role == "subject"
    assert json.loads(subject or "")["uid"] == person.uid
    assert workspace.journal.verify().ok


def test_a_change_that_raises_leaves_rows_and_files_as_they_were(workspace: Workspace) -> None:
    kept = workspace.files.save_image(b"jpeg")
    done = []

    def refused() -> None:
        with workspace.change("olga") as change:
            group_store.add(change.session, "Guards")
            change.record("group_created", {})
            change.delete_files(kept)
            change.after_commit(lambda: done.append("told"))
            raise Conflict("no")

    with pytest.raises(Conflict):
        refused()
    assert workspace.files.load_image(kept) == b"jpeg"
    assert (done, rows(workspace), Groups.of(workspace).list_()) == ([], [], [])


def test_files_go_after_the_commit_and_not_before(workspace: Workspace) -> None:
    gone = workspace.files.save_image(b"jpeg")
    seen = []
    with workspace.change("olga") as change:
        group_store.add(change.session, "Guards")
        change.after_commit(lambda: seen.append(len(Groups.of(workspace).list_())))
        change.delete_files(gone)
        assert workspace.files.load_image(gone) == b"jpeg"
        assert seen == []
    assert seen == [1], "whatever follows finds the change committed"
    with pytest.raises(StorageError):
        workspace.files.load_image(gone)


def test_what_fails_after_the_commit_undoes_nothing_and_is_logged(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    gone = workspace.files.save_image(b"jpeg")

    def fail() -> None:
        raise StorageError("the card is worn out")

    with caplog.at_level(logging.ERROR), workspace.change("olga") as change:
        group_store.add(change.session, "Guards")
        change.after_commit(fail)
        change.delete_files(gone)
    assert [g.name for g in Groups.of(workspace).list_()] == ["Guards"]
    assert "the card is worn out" in caplog.text
    with pytest.raises(StorageError):
        workspace.files.load_image(gone)


def test_locks_are_taken_in_their_order_however_they_are_named(workspace: Workspace) -> None:
    before = workspace.rules_stamp()
    with workspace.change("olga") as change:
        change.touches(FEED, RULES, ROLLOUTS, GALLERY)
        stored_settings.lock_gallery(change.session)
        change.touches(RULES)
        change.record("looked", {})
    between = workspace.rules_stamp()
    with workspace.change("olga") as change:
        change.touches(GALLERY, RULES)
    assert workspace.rules_stamp() == between, "to wait for others is no change"
    assert before != between, "but for the first time, when there is something to lock"


@pytest.mark.parametrize(
    ("first", "late"),
    [(RULES, GALLERY), (FEED, RULES), (GALLERY, ROLLOUTS), (RowLock.JOURNAL, FEED)],
)
def test_a_lock_out_of_order_is_refused_at_once(
    workspace: Workspace, first: RowLock, late: RowLock
) -> None:
    def disordered() -> None:
        with workspace.change("olga") as change:
            if first is RowLock.JOURNAL:
                change.record("looked", {})
            else:
                change.touches(first)
            change.touches(late)

    with pytest.raises(RuntimeError, match=f"{late.name} is locked after {first.name}"):
        disordered()
    assert rows(workspace) == []


def test_a_store_that_locks_out_of_order_is_found_as_well(workspace: Workspace) -> None:
    def disordered() -> None:
        with workspace.change("olga") as change:
            change_feed.note(change.session, change_feed.PERSON, ["someone"])
            person_store.add(change.session, **ANNA)

    with pytest.raises(RuntimeError, match="GALLERY"):
        disordered()


def test_a_part_on_behalf_of_somebody_else_is_of_the_same_change(workspace: Workspace) -> None:
    gone = workspace.files.save_image(b"jpeg")
    with workspace.change("olga") as change:
        part = change.by("anna at north")
        part.record("changed", {})
        part.delete_files(gone)
        change.record("accepted", {})
    assert [json.loads(str(payload))["name"] for *_, payload in rows(workspace)] == [
        "anna at north",
        "olga",
    ]
    with pytest.raises(RuntimeError, match="not open"):
        part.record("late", {})
    with pytest.raises(StorageError):
        workspace.files.load_image(gone)


def test_a_change_inside_a_change_is_refused(workspace: Workspace) -> None:
    groups = Groups.of(workspace)
    with workspace.change("olga") as change:
        with pytest.raises(RuntimeError, match="hand the one that is open on"):
            done_by("olga", groups.add, "Inner", None)
        groups.add(change, "Outer", None)
    assert [g.name for g in groups.list_()] == ["Outer"]


def test_a_change_is_used_while_it_is_open_and_once(workspace: Workspace) -> None:
    change = workspace.change("olga")
    for use in (
        lambda: change.session,
        lambda: change.touches(RULES),
        lambda: change.by("x").session,
    ):
        with pytest.raises(RuntimeError, match="not open"):
            use()
    with change:
        pass
    with pytest.raises(RuntimeError, match="not open"):
        change.touches(RULES)
    with pytest.raises(RuntimeError, match="made once"), change:
        pass
    done_by("olga", Groups.of(workspace).add, "next", None)


def test_a_service_that_refuses_leaves_the_workspace_usable(workspace: Workspace) -> None:
    groups = Groups.of(workspace)
    with pytest.raises(NotFound):
        done_by("olga", groups.delete, 7)
    assert done_by("olga", groups.add, "Guards", None).name == "Guards"


def test_a_clock_that_fails_ends_the_transaction(workspace: Workspace) -> None:
    class Broken(ManualClock):
        def now(self) -> object:  # type: ignore[override]
            raise StorageError("no clock")

    change: Change = workspace.change("olga", Broken())  # type: ignore[arg-type]
    with pytest.raises(StorageError), change:
        pass
    done_by("olga", Groups.of(workspace).add, "Guards", None)
