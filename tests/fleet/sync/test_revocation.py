"""What a gate may still do that its hub has revoked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gated.access.access_plan import load_plan
from gated.access.revocation import Revocation
from gated.config import Settings, StorageSettings, SyncSettings
from gated.core.access import AccessRules, Request
from gated.core.values import Instant, Method, PersonRef, Reason
from gated.devices.clock import ManualClock
from gated.journal import alarm_store
from gated.workspace import Workspace
from tests.workspaces import open_workspace

ANN = PersonRef(1, "u", "E1", "Ann")
FACE, CARD = frozenset({Method.FACE}), frozenset({Method.CARD})


def workspace_in(folder: Path, **sync: Any) -> Workspace:
    return open_workspace(
        Settings(storage=StorageSettings(state_dir=folder), sync=SyncSettings(**sync))
    )


def standing_alarms(workspace: Workspace) -> list[str]:
    with workspace.database.read() as session:
        return [a.kind for a in alarm_store.list_(session, standing=True)]


def test_faces_are_accepted_until_the_deadline_and_not_after_it(tmp_path: Path) -> None:
    clock = ManualClock(utc=1_800_000_000.0)
    with workspace_in(tmp_path, revoked_grace_h=2) as workspace:
        revocation = Revocation(workspace, clock)
        assert revocation.find() is None
        assert revocation.heard()
        assert not revocation.heard(), "it is news once"
        assert standing_alarms(workspace) == ["hub_revoked"]
        clock.advance(7199)
        assert not revocation.step()
        assert load_plan(workspace).faces
        clock.advance(1)
        before = workspace.rules_stamp()
        assert revocation.step()
        assert workspace.rules_stamp() != before, "the running gate loads its rules anew"
        assert not load_plan(workspace).faces
        assert not revocation.step()
        assert set(standing_alarms(workspace)) == {"hub_revoked", "hub_revoked_faces_end"}
    with workspace_in(tmp_path, revoked_grace_h=2) as workspace:
        assert not load_plan(workspace).faces, "a restart changes nothing"
        assert Revocation(workspace, clock).over()
        assert load_plan(workspace).faces
    with workspace_in(tmp_path) as workspace:
        assert workspace.journal.verify().ok


def test_a_gate_may_be_told_to_go_on(tmp_path: Path) -> None:
    clock = ManualClock(utc=1_800_000_000.0)
    with workspace_in(tmp_path, when_revoked="go_on", revoked_grace_h=0) as workspace:
        revocation = Revocation(workspace, clock)
        revocation.heard()
        clock.advance(1e7)
        assert not revocation.step()
        assert load_plan(workspace).faces


def test_a_clock_that_nobody_has_set_ends_nothing(tmp_path: Path) -> None:
    clock = ManualClock(utc=1_800_000_000.0, clock_ok=False)
    with workspace_in(tmp_path, revoked_grace_h=0) as workspace:
        revocation = Revocation(workspace, clock)
        revocation.heard()
        clock.advance(1e7)
        assert not revocation.step()


@pytest.mark.parametrize(
    ("factors", "reason"), [(FACE, Reason.HUB_REVOKED), (CARD, Reason.GRANTED)]
)
def test_cards_are_not_concerned(
    tmp_path: Path, factors: frozenset[Method], reason: Reason
) -> None:
    clock = ManualClock(utc=1_800_000_000.0)
    with workspace_in(tmp_path, revoked_grace_h=0) as workspace:
        revocation = Revocation(workspace, clock)
        revocation.heard()
        revocation.step()
        plan = load_plan(workspace)
    rules = AccessRules(plan=plan)
    now = Instant(0.0, 1_800_000_000.0, True)
    said = [v.reason for _, v in rules.examine(Request(ANN, factors=factors), now)]
    assert (Reason.HUB_REVOKED in said) == (reason is Reason.HUB_REVOKED)
