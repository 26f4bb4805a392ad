"""gated enroll and gated import, as an admin at a terminal sees them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gated.config import load
from gated.services.workspace import Workspace
from gated.storage.lock import StateLock
from tests.assets import require_assets
from tests.cli.conftest import Gated
from tests.services.offices import kinds, portrait, rows

REPORT = {"enrolled", "known", "without_photo", "refused", "skipped", "advice"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The demo portraits as files of their own."""
    require_assets("default", "demo")
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("obama", "obama2", "biden"):
        (folder / f"{name}.jpg").write_bytes(portrait(name))
    return folder


def test_a_person_is_enrolled_once(gated: Gated, config: Path, photos: Path) -> None:
    at = ("--config", config, "--json")
    names = ("--first-name", "Anna", "--last-name", "Berg")
    first = gated("enroll", "E17", photos / "obama.jpg", photos / "obama2.jpg", *names, *at)
    assert first.code == 0
    assert set(first.json) == REPORT
    assert first.json["enrolled"] == ["E17 obama.jpg", "E17 obama2.jpg"]
    again = gated("enroll", "E17", photos / "obama.jpg", *at)
    assert (again.code, again.json["known"], again.json["enrolled"]) == (0, ["E17 obama.jpg"], [])
    wrong = gated("enroll", "E17", photos / "biden.jpg", "--config", config)
    assert wrong.code == 1
    assert "refused (not_same_person)" in wrong.err
    assert wrong.out == "0 enrolled, 1 refused\n"
    twin = gated("enroll", "E18", photos / "obama2.jpg", "--config", config)
    assert twin.code == 1
    assert "Anna Berg (E17)" in twin.err


def test_a_photo_that_is_not_there_stops_before_anything_is_made(
    gated: Gated, config: Path, photos: Path
) -> None:
    result = gated("enroll", "E1", photos / "obama.jpg", photos / "absent.jpg", "--config", config)
    assert result.code == 2
    assert "absent.jpg" in result.err
    assert not (config.parent / "state").exists()


def test_an_import_reports_and_can_be_run_again(gated: Gated, config: Path, photos: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"nothing")
    (photos / "notes.txt").write_text("x")
    (photos / "staff.csv").write_text(
        "personnel_code;first_name;photo\nE1;Anna;obama.jpg\nE2;Ben;biden.jpg\n"
        "E3;Cem;broken.jpg\nE4;Dora;\n;Eve;obama.jpg\n"
    )
    first = gated("import", photos / "staff.csv", "--json", "--config", config)
    assert first.code == 1
    report = first.json
    assert set(report) == REPORT
    assert report["enrolled"] == ["E1 obama.jpg", "E2 biden.jpg"]
    assert report["without_photo"] == ["E4"]
    assert [(r["photo"], r["code"]) for r in report["refused"]] == [
        ("line 6", "refused"),
        ("E3 broken.jpg", "unreadable_image"),
    ]
    again = gated("import", photos / "staff.csv", "--config", config)
    assert again.out == "0 enrolled, 2 known already, 2 refused\n"
    folder = gated("import", photos, "--config", config)
    assert folder.code == 1
    assert "notes.txt: left out" in folder.err
    assert "broken broken.jpg: refused (unreadable_image)" in folder.err


def test_an_import_without_refusals_ends_well(gated: Gated, config: Path, photos: Path) -> None:
    assert gated("import", photos / "obama.jpg", "--config", config).code == 2
    (photos / "obama2.jpg").unlink()
    result = gated("import", photos, "--config", config)
    assert result.code == 0
    assert result.out.splitlines()[-1] == "2 enrolled, 0 refused"
    assert "biden biden.jpg: A photo taken from nearer" in result.out


def test_a_name_that_is_no_text_is_refused_in_words(
    gated: Gated, config: Path, photos: Path
) -> None:
    result = gated("enroll", os.fsdecode(b"E\xff"), photos / "obama.jpg", "--config", config)
    assert result.code == 1
    assert "personnel code" in result.err


def test_another_engine_renews_the_templates_unless_a_gate_runs(
    gated: Gated, config: Path, photos: Path
) -> None:
    require_assets("dlib")
    gated("enroll", "E1", photos / "obama.jpg", "--config", config)
    dlib = config.with_name("dlib.yaml")
    dlib.write_text(config.read_text().replace("vision: {", "vision: {engine: dlib, "))
    with StateLock(config.parent / "state"):
        running = gated("enroll", "E2", photos / "biden.jpg", "--config", dlib)
    assert running.code == 0
    assert "1 templates were made by another model" in running.err
    idle = gated("enroll", "E1", photos / "obama2.jpg", "--config", dlib)
    assert (idle.code, idle.err) == (0, "")
    with Workspace(load(dlib, {})) as workspace:
        assert len({row.model for row in rows(workspace)}) == 1
        assert kinds(workspace).count("template_replaced") == 1
