from __future__ import annotations

from pathlib import Path

import pytest

from gated.accounts.audit import Audit
from gated.config import Settings
from gated.devices.clock import ManualClock
from gated.errors import Conflict
from gated.live.camera_identity import CameraIdentity
from gated.workspace import Workspace
from tests.workspaces import open_workspace

FIRST, OTHER = "usb 046d:0825 serial A1", "usb 046d:0825 serial B2"
DIGEST = "ab" * 32


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"storage": {"state_dir": tmp_path}})


def test_the_first_camera_is_believed_and_another_is_told(workspace: Workspace) -> None:
    camera = CameraIdentity(workspace, ManualClock())
    assert camera.seen(FIRST) is None
    assert camera.seen(OTHER) == f"it was {FIRST}, it is {OTHER}"
    assert CameraIdentity(workspace, ManualClock()).seen(OTHER) is not None, "after a restart, too"
    assert camera.seen(FIRST) is None


def test_an_admin_accepts_the_camera_that_is_there(workspace: Workspace) -> None:
    camera = CameraIdentity(workspace, ManualClock())
    with pytest.raises(Conflict, match="has not changed"):
        camera.accept(actor="root")
    camera.seen(FIRST)
    camera.seen(OTHER)
    assert camera.accept(actor="root") == OTHER
    assert camera.seen(OTHER) is None
    assert camera.seen(FIRST) is not None
    (row,) = Audit(workspace).page(limit=9).rows
    assert (row.kind, row.actor and row.actor["name"]) == ("camera_accepted", "root")
    assert row.body["before"] == FIRST


def test_a_certificate_of_the_configuration_counts_alone(tmp_path: Path) -> None:
    camera = {"driver": "rtsp", "url": "rtsps://cam/1", "source": None, "certificate": DIGEST}
    settings = Settings.model_validate({"camera": camera, "storage": {"state_dir": tmp_path}})
    with open_workspace(settings) as workspace:
        identity = CameraIdentity(workspace, ManualClock())
        assert identity.seen("rtsps cam sha256:" + "cd" * 32) is not None
        assert identity.seen("rtsps cam sha256:" + DIGEST) is None
        with pytest.raises(Conflict, match="configuration"):
            identity.accept(actor="root")
