"""gated enroll and gated import, as an admin at a terminal sees them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from gated.config import load
from gated.database.state_lock import StateLock
from gated.devices.clock import SystemClock
from gated.enrollment import enrollment_store
from gated.enrollment.models import INSTALLED
from gated.journal import audit_store
from gated.people.people import People
from tests.assets import require_assets
from tests.cli.conftest import GATE, Gated
from tests.enrollment.offices import kinds, portrait, rows
from tests.workspaces import open_workspace

REPORT = {"enrolled", "known", "without_photo", "one_photo", "refused", "differing"}
REPORT |= {"skipped", "advice", "notes"}


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
    assert set(first.json) == REPORT | {"photo_advice"}
    assert first.json["enrolled"] == ["E17 obama.jpg", "E17 obama2.jpg"]
    advice = first.json["photo_advice"]
    assert (advice["usable"], advice["another_advised"]) == (2, False)
    again = gated("enroll", "E17", photos / "obama.jpg", *at)
    assert (again.code, again.json["known"], again.json["enrolled"]) == (0, ["E17 obama.jpg"], [])
    wrong = gated("enroll", "E17", photos / "biden.jpg", "--config", config)
    assert wrong.code == 1
    assert "refused (not_same_person)" in wrong.err
    assert wrong.out == "0 enrolled, 1 refused\n"
    twin = gated("enroll", "E18", photos / "obama2.jpg", "--config", config)
    assert twin.code == 1
    assert "Anna Berg (E17)" in twin.err


def test_a_second_photo_is_proposed_until_one_differs(
    gated: Gated, config: Path, photos: Path
) -> None:
    at = ("--config", config)
    one = gated("enroll", "E17", photos / "obama.jpg", *at)
    assert "more than halves wrong refusals" in one.err
    same = gated("enroll", "E17", photos / "obama.jpg", *at, "--json")
    assert same.json["photo_advice"]["reason"] == "same_photo"
    listed = gated("persons", "list", "--one-photo", *at, "--json").json
    assert [(p["personnel_code"], p["photo_advice"]["reason"]) for p in listed] == [
        ("E17", "one_photo")
    ]
    shown = gated("persons", "show", "E17", *at)
    assert "more than halves wrong refusals" in shown.out

    two = gated("enroll", "E17", photos / "obama2.jpg", *at)
    assert (two.out, two.err) == ("1 enrolled, 0 refused\n", "")
    assert gated("persons", "list", "--one-photo", *at, "--json").json == []
    assert gated("persons", "show", "E17", *at, "--json").json["photo_advice"]["usable"] == 2


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
    assert report["without_photo"] == ["E3", "E4"]
    assert report["one_photo"] == ["E1", "E2"]
    assert [(r["photo"], r["code"]) for r in report["refused"]] == [
        ("line 6", "refused"),
        ("E3 broken.jpg", "unreadable_image"),
    ]
    again = gated("import", photos / "staff.csv", "--config", config)
    assert again.out.splitlines() == ["0 enrolled, 2 known already, 2 refused"]
    assert "one photo only: 2." in again.err
    assert "gated persons list --one-photo" in again.err
    (photos / "staff.csv").unlink()
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


def test_what_failed_is_written_as_a_table_to_mend(
    gated: Gated, config: Path, photos: Path, tmp_path: Path
) -> None:
    staff = photos / "list" / "staff.csv"
    staff.parent.mkdir()
    staff.write_text(
        "personnel_code,photo,first_name,department\nE1,..\\OBAMA.JPG,Anna,=1+1\n"
        "E1,,Carl,\nE2,../biden.jpg,Ben,Lager,Nord\nE3,,Cem,\n"
    )
    (tmp_path / "other").mkdir()
    mend = tmp_path / "other" / "mend.csv"
    first = gated("import", staff, "--failures", mend, "--config", config)
    assert first.code == 1
    assert "lines 2, 3: E1: refused (refused): the rows of this code disagree" in first.err
    assert "line 4: E2: refused (refused): it has 5 cells" in first.err
    assert mend.stat().st_mode & 0o077 == 0
    text = mend.read_text(encoding="utf-8-sig")
    assert ",../photos/biden.jpg," in text
    kept = [line for line in text.splitlines() if ",Carl," not in line]
    mend.write_text("\n".join(kept), encoding="utf-8-sig")
    again = gated("import", mend, "--json", "--config", config)
    assert (again.code, again.json["enrolled"]) == (0, ["E1 obama.jpg", "E2 biden.jpg"])
    with open_workspace(load(config, {})) as workspace:
        people, _ = People(workspace, SystemClock()).list_()
    assert {p.personnel_code: p.department for p in people} == {
        "E1": "=1+1",
        "E2": "Lager",
        "E3": None,
    }
    same = gated("import", mend, "--failures", mend, "--config", config)
    assert (same.code, "another file" in same.err) == (2, True)


def test_changed_fields_of_a_known_person_are_named(
    gated: Gated, config: Path, tmp_path: Path
) -> None:
    require_assets("default")
    table = tmp_path / "staff.csv"
    table.write_text("personnel_code,photo,first_name,last_name\nK26,,Anna,Berg\n")
    assert gated("import", table, "--config", config).code == 0
    assert gated("import", table, "--config", config).code == 0
    table.write_text("ID,Foto,Vorname,Nachname\nk26,,Anna,Berg-Dorn\n")
    named = ("--columns", "personnel_code=ID", "--config", config)
    changed = gated("import", table, *named)
    assert changed.code == 1
    assert "line 2: k26: last_name is 'Berg', and 'Berg-Dorn' in the table" in changed.err
    assert changed.out == "0 enrolled, 0 refused, 1 different in the table, left alone\n"


def test_photos_of_other_formats_do_not_pass_in_silence(
    gated: Gated, config: Path, photos: Path
) -> None:
    (photos / "E5.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (photos / "E6.jpg").write_bytes(b"RIFF\x10\0\0\0WEBPVP8 ")
    (photos / "biden.jpg").unlink()
    (photos / "obama2.jpg").unlink()
    result = gated("import", photos, "--config", config)
    assert (result.code, result.out) == (1, "1 enrolled, 2 refused\n")
    assert "E5 E5.heic: refused (unreadable_image): The file is a HEIC file" in result.err
    assert "E6 E6.jpg: refused (unreadable_image): The file is a WebP file" in result.err


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
    with open_workspace(load(dlib, {})) as workspace:
        assert len({row.model for row in rows(workspace)}) == 1
        assert kinds(workspace).count("template_replaced") == 1


def test_people_move_to_another_gate_with_their_photos(
    gated: Gated, config: Path, photos: Path, tmp_path: Path
) -> None:
    """Who may not pass at all times stays, as an import would let everybody pass."""
    at, file = ("--config", config), tmp_path / "staff.zip"
    names = ("--first-name", "Anna", "--last-name", "=Berg", "--department", "Küche")
    gated("enroll", "E17", photos / "obama.jpg", photos / "obama2.jpg", *at)
    gated("enroll", "E18", photos / "biden.jpg", *at)
    assert gated("persons", "change", "E17", *names, *at).code == 0
    assert gated("persons", "off", "E18", *at).code == 0
    for code, limit in (("E19", ("--leaves-on", "2099-01-01")), ("E20", ())):
        added = gated("persons", "add", code, "--first-name", "A", "--last-name", "B", *limit, *at)
        assert added.code == 0
    until = ("--until", "2099-01-01")  # today until six may be over
    assert gated("visitors", "add", "V1", "Vera", "Gast", *until, *at).code == 0
    told = gated("people", "export", file, "--photos", "--json", *at)
    assert told.code == 0, told.err
    assert told.json == {
        "people": 2,
        "photos": 2,
        "left_out": {
            "switched off": 1,
            "with a last day": 1,
            "held back by a rule of their own": 1,
        },
    }
    assert file.stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other.yaml"
    other.write_text(GATE.format(assets=INSTALLED, state=tmp_path / "elsewhere"))
    taken = gated("people", "import", file, "--json", "--config", other)
    assert taken.code == 0, taken.err
    assert len(taken.json["enrolled"]) == 2
    shown = gated("persons", "show", "E17", "--json", "--config", other).json
    assert (shown["last_name"], shown["department"]) == ("=Berg", "Küche")
    codes = gated("persons", "list", "--json", "--config", other).json
    assert {p["personnel_code"] for p in codes} == {"E17", "E20"}


def test_photos_leave_the_gate_only_when_asked_for(
    gated: Gated, config: Path, photos: Path, tmp_path: Path
) -> None:
    at, file = ("--config", config), tmp_path / "staff.zip"
    gated("enroll", "E17", photos / "obama.jpg", *at)
    assert gated("people", "export", file, *at).out == f"{file}: 1 people, 0 photos\n"
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["people.csv"]
    with open_workspace(load(config, {})) as workspace, workspace.database.read() as session:
        written = [
            row.kind for row in audit_store.list_(session, audit_store.AuditFilter(), limit=9)
        ]
    assert "exported" in written


def test_a_damaged_photo_is_named_by_its_enrollment_when_people_move(
    gated: Gated, config: Path, photos: Path, tmp_path: Path
) -> None:
    at, file = ("--config", config), tmp_path / "staff.zip"
    gated("enroll", "E17", photos / "obama.jpg", *at)
    with open_workspace(load(config, {})) as workspace, workspace.database.read() as session:
        (enrollment,) = enrollment_store.list_(session)
        (workspace.files.uploads / str(enrollment.face_image_path)).write_bytes(b"torn")
    found = gated("people", "export", file, "--photos", *at)
    assert found.code == 5
    assert f"the photo of enrollment {enrollment.id}, of person {enrollment.person_id}" in found.err
    assert not file.exists()
