from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gated.config import Settings, StorageSettings
from gated.core.model import DoorMode, ResetFire, SetDoorMode
from gated.errors import Conflict
from gated.services.door_orders import RESET_FIRE, leave_order, order_stamp, take_order
from gated.services.workspace import Workspace
from gated.storage.lock import StateLock


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(Settings(storage=StorageSettings(state_dir=tmp_path))) as workspace:
        yield workspace


def test_an_order_is_taken_once(workspace: Workspace, tmp_path: Path) -> None:
    assert order_stamp(workspace) is None
    with StateLock(tmp_path):
        leave_order(workspace, "lockdown", actor="eve", cause="drill")
    assert order_stamp(workspace) is not None
    assert take_order(workspace) == SetDoorMode(DoorMode.LOCKDOWN, "eve", "drill")
    assert order_stamp(workspace) is None
    assert take_order(workspace) is None


def test_the_fire_release_can_be_ordered_to_end(workspace: Workspace, tmp_path: Path) -> None:
    with StateLock(tmp_path):
        leave_order(workspace, RESET_FIRE, actor="eve", cause="false alarm")
    assert take_order(workspace) == ResetFire("eve", "false alarm")


def test_the_same_order_again_is_another_one(workspace: Workspace, tmp_path: Path) -> None:
    stamps = set[str | None]()
    with StateLock(tmp_path):
        for _ in range(2):
            leave_order(workspace, "normal", actor="eve", cause="over")
            stamps.add(order_stamp(workspace))
    assert len(stamps) == 2


def test_nobody_leaves_an_order_where_no_gate_runs(workspace: Workspace) -> None:
    with pytest.raises(Conflict):
        leave_order(workspace, "free_access", actor="eve", cause="open day")
    assert order_stamp(workspace) is None
