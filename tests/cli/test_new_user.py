"""A bookkeeper's first morning: what is typed, that none of it fails, and never more than two."""

from __future__ import annotations

import csv
import io
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gated.attendance.attendance import Attendance
from gated.config import load
from gated.core.values import Direction
from gated.enrollment.models import INSTALLED
from gated.http.spreadsheet import xlsx_bytes
from gated.people.people import People
from gated.workspace import Workspace
from tests.assets import require_assets, require_data
from tests.changes import done_by
from tests.cli.conftest import GATE, Gated

BERLIN = ZoneInfo("Europe/Berlin")
HEADINGS = ("Personalnummer", "Vorname", "Nachname", "Abteilung", "Foto")
PEOPLE = 60
BAD = (7, 31)
"""Numbers of people whose photos cannot be used."""

SMALL = frozenset({"Andy_Dick"})
"""People of the data whose only photo is refused, with reason."""


@pytest.fixture
def at(config: Path) -> tuple[str, Path]:
    text = GATE.format(assets=INSTALLED, state=config.parent / "state")
    config.write_text(text + "gate: {timezone: Europe/Berlin}\n")
    return "--config", config


def photos() -> list[Path]:
    """A photo each of people whose faces are large enough to be enrolled."""
    people = sorted(f for f in require_data("lfw").iterdir() if f.is_dir() and f.name not in SMALL)
    return [min(folder.glob("*.jpg")) for folder in people[: PEOPLE + len(BAD)]]


@pytest.fixture
def staff(tmp_path: Path) -> Path:
    """A German Excel export of 60 people beside a folder of their photos, two of which are bad."""
    require_assets("default")
    faces = photos()[:PEOPLE]
    folder = tmp_path / "export"
    (folder / "Fotos").mkdir(parents=True)
    rows = []
    for n, face in enumerate(faces, 1):
        first, _, last = face.parent.name.replace("_", " ").partition(" ")
        rows.append((f"{n:03}", first, last or first, "Büro", f"Fotos\\{n:03}.jpg"))
        photo = folder / "Fotos" / f"{n:03}.jpg"
        if n in BAD:
            photo.write_bytes(b"\xff\xd8\xff" + b"no picture" * 100)
        else:
            shutil.copy(face, photo)
    table = folder / "Mitarbeiter.xlsx"
    table.write_bytes(b"".join(xlsx_bytes(HEADINGS, rows, "Tabelle1")))
    return table


def last_month() -> date:
    today = datetime.now(BERLIN).date()
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


def work(config: Path, code: str) -> None:
    """Somebody came and went on the second of last month: what the gate would have logged."""
    day = datetime.combine(last_month(), datetime.min.time(), BERLIN) + timedelta(days=1)
    with Workspace(load(config, {})) as workspace:
        person, log = People.of(workspace).by_code(code), Attendance(workspace)
        for way, hour in ((Direction.ENTRY, 8), (Direction.EXIT, 16)):
            when = (day + timedelta(hours=hour)).astimezone(UTC)
            done_by("gate", log.punch, person.id, way, when, cause="a passage")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_sixty_people_from_excel_in_two_commands(
    gated: Gated, at: tuple[str, Path], staff: Path
) -> None:
    mend = staff.parent / "mend.csv"
    first = gated("import", staff, "--failures", mend, *at)
    assert (
        first.out.splitlines()[-1]
        == f"{PEOPLE - 2} enrolled, 2 people added without photo, 2 refused"
    )
    assert all(f"{n:03}.jpg: refused" in first.err for n in BAD)
    for n, photo in zip(BAD, photos()[PEOPLE:], strict=True):
        shutil.copy(photo, staff.parent / "Fotos" / f"{n:03}.jpg")
    second = gated("import", mend, *at)
    assert (second.code, second.out.splitlines()[-1]) == (0, "2 enrolled, 0 refused")
    everybody = gated("persons", "list", "--json", *at).json
    assert len(everybody) == PEOPLE
    assert all(p["photos"] == 1 for p in everybody)


def test_the_rest_of_the_morning_in_one_command_each(
    gated: Gated, at: tuple[str, Path], tmp_path: Path
) -> None:
    assert gated("db", "upgrade", *at).code == 0
    for code, first, last in (("007", "Ada", "Bork"), ("031", "Ben", "Oz")):
        names = ("--first-name", first, "--last-name", last)
        assert gated("persons", "add", code, *names, *at).code == 0
    assert gated("cards", "give", "007", "4711228", *at).code == 0
    work(at[1], "007")

    named = gated("persons", "change", "007", "--last-name", "Berg", *at)
    assert (named.code, named.out) == (0, "Ada Berg (007) changed\n")

    tomorrow = datetime.now(BERLIN).date() + timedelta(days=1)
    visit = gated(
        *("visitors", "add", "V1", "Eva", "Gast"),
        *("--card", "4711555", "--until", tomorrow.isoformat()),
        *at,
    )
    assert visit.code == 0
    assert "passes until" in visit.out

    replaced = gated("cards", "replace", "007", "4711300", *at)
    assert replaced.code == 0
    assert "007" in gated("access", "whose-card", "4711228", *at).out, "it is blocked, and found"

    file = tmp_path / "lohn.csv"
    payroll = gated("attendance", "months", file, "--language", "de", *at)
    assert payroll.code == 0
    rows = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig")), delimiter=";")
    told = {row["Personalnummer"]: (row["Nachname"], row["Ist (Std.)"]) for row in rows}
    # who never came is there, the visitor is not
    assert told == {"007": ("Berg", "8,0"), "031": ("Oz", "0,0")}
