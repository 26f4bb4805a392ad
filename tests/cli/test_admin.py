"""What an administrator does without a page: persons, groups, hours, visitors, cards, the log."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from gated.config import load
from gated.core.messages import SetDoorMode
from gated.core.values import DoorMode
from gated.enrollment.models import INSTALLED
from gated.link.server import LinkServer
from gated.people.people import People
from tests.changes import done_by
from tests.cli.conftest import GATE, Gated
from tests.link.seams import DoorSide, serving
from tests.workspaces import open_workspace


@pytest.fixture
def at(config: Path) -> tuple[str, Path]:
    """A gate in Berlin that knows Anna Berg, E17."""
    text = GATE.format(assets=INSTALLED, state=config.parent / "state")
    config.write_text(text + "gate: {timezone: Europe/Berlin}\n")
    with open_workspace(load(config, {})) as workspace:
        fields = {"personnel_code": "E17", "first_name": "Anna", "last_name": "Berg"}
        done_by("olga", People.of(workspace).create, fields)
    return "--config", config


def test_a_person_is_added_changed_switched_and_erased(gated: Gated, at: tuple[str, Path]) -> None:
    added = gated("persons", "add", "E18", "--first-name", "Ben", "--last-name", "Oz", *at)
    assert (added.code, added.out) == (0, "Ben Oz (E18) added\n")
    twice = gated("persons", "add", "e18", "--first-name", "Ben", "--last-name", "Oz", *at)
    assert twice.code == 1
    named = ("--last-name", "Ost", "--department", "Lager", "--leaves-on", "2099-12-31")
    assert gated("persons", "change", "E18", *named, *at).code == 0
    shown = gated("persons", "show", "E18", "--json", *at).json
    assert (shown["last_name"], shown["department"], shown["leaves_on"]) == (
        "Ost", "Lager", "2099-12-31",
    )  # fmt: skip
    assert gated("persons", "change", "E18", "--department", "", *at).code == 0
    assert gated("persons", "show", "E18", "--json", *at).json["department"] is None
    assert gated("persons", "off", "E17", "E18", *at).code == 0
    off = gated("persons", "list", "--inactive", "--json", *at).json
    assert [p["personnel_code"] for p in off] == ["E17", "E18"]
    assert gated("persons", "on", "E17", *at).code == 0
    assert gated("persons", "erase", "E18", *at, stdin="n\n").code == 130
    assert gated("persons", "erase", "E18", "--yes", "--json", *at).json["overridden"] is False
    assert gated("persons", "show", "E18", *at).code == 1


@pytest.mark.parametrize(
    "words",
    [
        ("persons", "add", "E 9", "--first-name", "A", "--last-name", "B"),
        ("persons", "change", "E17", "--email", "nobody"),
        ("persons", "change", "E17"),
        ("visitors", "add", "V1", "Eva", "Gast", "--until", "2001-01-01"),
        ("visitors", "add", "V1", "Eva", "Gast", "--until", "soon"),
        ("schedules", "add", "Odd", "--hours", "someday=08:00-09:00"),
        ("schedules", "add", "Odd", "--hours", "mon=8-9"),
        ("cards", "give", "E17"),
        ("attendance", "days", "november.doc"),
        ("attendance", "punch", "E17", "exit", "--at", "2026-07-01", "--reason", "a\x1b[2J\nb"),
        ("persons", "erase", "E17", "--yes", "--override", "--reason", "\u200b"),
        ("door", "open", "--reason", "  "),
        ("door", "mode", "lockdown", "--reason", "a\nb"),
    ],
)
def test_what_is_typed_wrongly_changes_nothing_and_is_told(
    gated: Gated, at: tuple[str, Path], words: tuple[str, ...]
) -> None:
    before = gated("journal", "verify", "--json", *at).json["rows"]
    done = gated(*words, *at)
    assert done.code == 2
    assert done.err
    assert gated("journal", "verify", "--json", *at).json["rows"] == before


def test_a_value_is_refused_in_the_words_of_the_api(gated: Gated, at: tuple[str, Path]) -> None:
    typed = gated("persons", "change", "E17", "--last-name", "M\udcfcller", *at)
    assert (typed.code, "last-name: must be a text" in typed.err) == (2, True)


def test_groups_and_hours_are_what_the_rules_ask(gated: Gated, at: tuple[str, Path]) -> None:
    for words in (
        ("groups", "add", "Staff"),
        ("groups", "join", "staff", "E17"),
        ("schedules", "add", "Weekdays", "--hours", "mon-fri=08:00-17:00"),
        ("groups", "passes", "Staff", "--in", "weekdays"),
        ("schedules", "holiday", "2026-12-25", "Christmas"),
        ("schedules", "day", "Weekdays", "2026-12-24", "08:00-12:00"),
    ):
        assert gated(*words, *at).code == 0, words
    for moment, code in (
        ("2026-12-22T09:00", 0), ("2026-12-22T07:00", 1), ("2026-12-24T13:00", 1),
        ("2026-12-25T09:00", 1),
    ):  # fmt: skip
        asked = ("access", "explain", "E17", "--at", moment, "--with", "face")
        assert gated(*asked, *at).code == code, moment
    assert "in Weekdays" in gated("groups", "list", *at).out
    assert "mon-fri 08:00-17:00" in gated("schedules", "list", *at).out
    refused = gated("schedules", "remove", "Weekdays", *at)
    assert refused.code == 1
    assert gated("groups", "passes", "Staff", "--nothing", *at).code == 0
    assert gated("schedules", "remove", "Weekdays", *at).code == 0
    assert gated("groups", "leave", "Staff", "E17", *at).code == 0
    assert gated("groups", "show", "Staff", "--json", *at).json["members"] == []
    assert gated("groups", "change", "Staff", "--name", "All", *at).code == 0
    assert gated("groups", "remove", "All", *at).code == 0
    assert gated("schedules", "holidays", "--json", *at).json[0]["name"] == "Christmas"


def test_a_visitor_passes_until_the_evening_and_no_longer(
    gated: Gated, at: tuple[str, Path]
) -> None:
    until = ("--until", "2030-06-01")
    done = gated("visitors", "add", "V1", "Eva", "Gast", "--card", "4711228", *until, *at)
    assert (done.code, done.err) == (0, "")
    (seen,) = gated("visitors", "list", "--json", *at).json
    # the day is over at midnight in Berlin
    assert seen["access"]["valid_until"] == "2030-06-01T22:00:00+00:00"
    (card,) = gated("cards", "list", "V1", "--json", *at).json
    assert card["valid_until"] == "2030-06-01T22:00:00+00:00"
    for moment, code in (("2030-06-01T23:59", 0), ("2030-06-02T00:01", 1)):
        asked = ("access", "explain", "V1", "--at", moment, "--with", "card")
        assert gated(*asked, *at).code == code, moment
    assert gated("visitors", "extend", "V1", "--until", "2030-06-02", *at).code == 0
    assert gated("visitors", "end", "V1", *at).code == 0
    assert gated("access", "whose-card", "4711228", *at).code == 1
    taken = gated("visitors", "add", "V2", "Jo", "Oz", "--card", "1", *until, *at)
    assert taken.code == 1
    assert "V2 is added, without a card" in taken.err


def test_what_changes_something_tells_a_script_what_is_so_now(
    gated: Gated, at: tuple[str, Path]
) -> None:
    """Each record is the one that the reading command gives afterwards."""

    def asked(*words: str) -> Any:
        return gated(*words, "--json", *at).json

    (switched,) = asked("persons", "off", "E17")
    assert switched.items() <= asked("persons", "show", "E17").items()
    given = ("--planned-hours", "38.5", "--late-after", "08:15")
    group = asked("groups", "add", "Staff", *given)
    assert (group["planned_hours"], group["late_after"]) == (38.5, "08:15")
    assert asked("groups", "change", "Staff", "--late-after", "")["late_after"] is None
    group = asked("groups", "change", "Staff", "--late-after", "23:59")
    assert group.items() <= asked("groups", "show", "Staff").items()
    assert asked("groups", "join", "Staff", "E17") == {**group, "personnel_codes": ["E17"]}
    week = asked("schedules", "add", "Weekdays", "--hours", "mon-fri=08:00-17:00")
    assert [week] == asked("schedules", "list")
    passes = asked("groups", "passes", "Staff", "--in", "Weekdays")
    assert passes["rules"] == asked("groups", "show", "Staff")["rules"]
    day = asked("schedules", "day", "Weekdays", "2030-12-24", "08:00-12:00")
    assert day == {"schedule": "Weekdays", "day": "2030-12-24", "hours": ["08:00-12:00"]}
    asked("schedules", "holiday", "2030-12-25", "Christmas")
    assert asked("schedules", "holidays")[0]["day"] == "2030-12-25"
    visit = asked("visitors", "add", "V1", "Eva", "Gast", "--until", "2030-06-01")
    longer = asked("visitors", "extend", "V1", "--until", "2030-06-02")
    assert longer["access"] != visit["access"]
    assert asked("visitors", "list")[0]["access"] == longer["access"]
    card = asked("cards", "give", "E17", "4711228")
    assert asked("cards", "block", "E17")["is_active"] is False
    assert asked("cards", "withdraw", "E17")["withdrawn"] == [card["id"]]
    reason = ("--reason", "left by the garage")
    row = asked("attendance", "punch", "E17", "exit", "--at", "2020-01-02T17:30", *reason)
    fixed = asked("attendance", "correct", str(row["id"]), "--direction", "entry", *reason)
    assert fixed in asked("attendance", "list")


def test_a_lost_card_is_replaced_opens_nothing_and_can_be_traced(
    gated: Gated, at: tuple[str, Path]
) -> None:
    assert gated("cards", "give", "E17", "4711228", "--label", "blue", *at).code == 0
    assert gated("cards", "replace", "E17", "4711300", *at).code == 0
    lost, card = gated("cards", "list", "E17", "--json", *at).json
    assert (card["label"], card["is_active"]) == ("blue", True)
    assert (lost["label"], lost["is_active"]) == ("blue", False)
    assert gated("access", "whose-card", "4711228", *at).out == "Anna Berg (E17), blocked (blue)\n"
    assert gated("access", "whose-card", "4711300", *at).out == "Anna Berg (E17) (blue)\n"
    assert gated("cards", "replace", "E17", "4711301", "--next", *at).code == 2
    assert gated("cards", "list", "E17", "--json", *at).json[1]["is_active"] is True
    # whatever comes of the new one, the lost one is blocked
    refused = gated("cards", "replace", "E17", "1", *at)
    assert refused.code == 1
    assert gated("cards", "list", "E17", "--json", *at).json[1]["is_active"] is False
    assert gated("cards", "block", "E17", "--release", "--card", str(card["id"]), *at).code == 0
    assert gated("cards", "withdraw", "E17", "--card", str(lost["id"]), *at).code == 0
    assert gated("access", "whose-card", "4711228", *at).code == 1
    assert gated("cards", "give", "E17", "4711555", *at).code == 0
    assert "there are several" in gated("cards", "withdraw", "E17", *at).err
    assert gated("cards", "withdraw", "E17", "--all", *at).code == 0
    assert gated("cards", "list", "E17", "--json", *at).json == []


def test_without_a_running_gate_nobody_waits_for_a_card(gated: Gated, at: tuple[str, Path]) -> None:
    done = gated("cards", "next", *at)
    assert (done.code, "start it first" in done.err) == (6, True)
    assert gated("door", "open", "--reason", "delivery", *at).code == 6
    assert gated("door", "mode", "lockdown", "--reason", "drill", *at).code == 6


def test_a_mode_of_the_door_is_set_until_a_time_of_the_site(
    gated: Gated, at: tuple[str, Path]
) -> None:
    door, mode = DoorSide(), ("door", "mode", "free_access", "--reason", "open day")
    with serving(LinkServer(at[1].parent / "state", door.board, door.tap, door.act)):
        done = gated(*mode, "--until", "2099-07-01T18:00", *at)
        assert (done.code, "until 2099-07-01 18:00" in done.out) == (0, True)
        assert gated(*mode, "--until", "soon", *at).code == 2
        assert gated(*mode, *at).code == 0
    until = datetime(2099, 7, 1, 16, tzinfo=UTC).timestamp()
    free = SetDoorMode(DoorMode.FREE_ACCESS, "command line", "open day")
    assert door.taken == [replace(free, until=until), free]


def test_the_log_is_listed_corrected_and_exported(
    gated: Gated, at: tuple[str, Path], tmp_path: Path
) -> None:
    why = ("--reason", "forgotten")
    for way, time in (("entry", "2026-07-01T08:00"), ("exit", "2026-07-01T16:00")):
        assert gated("attendance", "punch", "E17", way, "--at", time, *why, *at).code == 0
    late = gated("attendance", "correct", "1", "--at", "2026-07-01T09:00", *why, *at)
    assert (late.code, late.out) == (0, "row 3 in the place of 1\n")
    july = ("--from", "2026-07-01", "--to", "2026-07-01")
    rows = gated("attendance", "list", "--person", "E17", *july, "--json", *at).json
    assert [row["local_time"] for row in rows] == [
        "2026-07-01T16:00:00+02:00", "2026-07-01T09:00:00+02:00",
    ]  # fmt: skip
    assert gated("attendance", "list", "--to", "2026-06-30", "--json", *at).json == []
    versions = gated("attendance", "show", "3", "--json", *at).json["versions"]
    assert [v["cause"] for v in versions] == ["forgotten", "forgotten"]
    (day,) = gated("attendance", "days", *july, "--json", *at).json
    assert (day["inside_s"], day["first_in"]) == (7 * 3600, "2026-07-01T09:00:00+02:00")
    file = tmp_path / "july.csv"
    assert gated("attendance", "export", file, *july, *at).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert [row["personnel_code"] for row in told] == ["E17", "E17"]
    book = tmp_path / "july.xlsx"
    assert gated("attendance", "days", book, *july, *at).code == 0
    assert book.read_bytes()[:2] == b"PK"
    kinds = gated("attendance", "correct", "2", "--void", *why, *at)
    assert kinds.code == 0
    assert len(gated("attendance", "list", "--status", "granted", "--json", *at).json) == 1


def test_months_are_for_payroll(gated: Gated, at: tuple[str, Path], tmp_path: Path) -> None:
    why = ("--reason", "forgotten")
    for way, time in (("entry", "2026-07-01T08:00"), ("exit", "2026-07-01T16:30")):
        assert gated("attendance", "punch", "E17", way, "--at", time, *why, *at).code == 0
    assert gated("groups", "add", "Office", "--planned-hours", "40", *at).code == 0
    assert gated("groups", "join", "Office", "E17", *at).code == 0
    july = ("--from", "2026-07")
    (month,) = gated("attendance", "months", *july, "--json", *at).json
    assert (month["worked_s"], month["planned_s"], month["corrections"]) == (
        30_600, 23 * 8 * 3600, 2,
    )  # fmt: skip
    file = tmp_path / "july.csv"
    assert gated("attendance", "months", file, *july, "--language", "de", *at).code == 0
    written = gated("attendance", "months", tmp_path / "a.csv", *july, "--json", *at).json
    assert written == {
        "file": str(tmp_path / "a.csv"), "first": "2026-07-01", "last": "2026-07-31"
    }  # fmt: skip
    (row,) = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig")), delimiter=";")
    assert (row["Ist (Std.)"], row["Korrigierte Durchgänge"]) == ("8,5", "2")
    assert gated("attendance", "months", *july, *at).out.splitlines()[1].split()[-1] == "2"
    assert gated("groups", "change", "Office", "--planned-hours", "0", *at).code == 0
    (month,) = gated("attendance", "months", *july, "--json", *at).json
    assert month["planned_s"] is None


def test_who_is_inside_is_told(gated: Gated, at: tuple[str, Path]) -> None:
    before = f"{datetime.now(UTC) - timedelta(minutes=10):%Y-%m-%dT%H:%M%z}"
    why = ("--reason", "forgotten")
    assert gated("attendance", "punch", "E17", "entry", "--at", before, *why, *at).code == 0
    people = gated("inside", "--json", *at).json["people"]
    assert [p["person"]["personnel_code"] for p in people] == ["E17"]
    assert gated("inside", *at).out.endswith("1 inside\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(gated: Gated, shell: str, tmp_path: Path) -> None:
    script = gated("completion", shell)
    assert script.code == 0
    assert "_GATED_COMPLETE" in script.out
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    file = tmp_path / "completion"
    file.write_text(script.out)
    checked = subprocess.run([shell, "-n", file], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_columns_line_up_whatever_the_names_are(gated: Gated, at: tuple[str, Path]) -> None:
    names = {"E18": "李小龍", "E19": "E\u0301lodie", "E20": "🦊🦊", "E21": "محمد"}
    for code, name in names.items():
        words = "--first-name", name, "--last-name", "B"
        assert gated("persons", "add", code, *words, *at).code == 0
    lines = gated("persons", "list", *at).out.splitlines()
    assert len({cell_len(line[: line.index(" on  ")]) for line in lines[1:]}) == 1


def test_names_are_shown_in_a_terminal_that_knows_no_unicode(
    gated: Gated, at: tuple[str, Path]
) -> None:
    assert gated("persons", "change", "E17", "--first-name", "محمد🦊", *at).code == 0
    latin = os.environ | {"PYTHONIOENCODING": "latin-1"}

    def listed(*more: str) -> bytes:
        words = [sys.executable, "-m", "gated", "persons", "list", *more, *map(str, at)]
        return subprocess.run(words, stdout=subprocess.PIPE, check=True, env=latin).stdout

    assert b"E17" in listed()
    assert json.loads(listed("--json"))[0]["first_name"] == "محمد🦊"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_output_without_room_is_no_defect(gated: Gated, at: tuple[str, Path]) -> None:
    words = [sys.executable, "-m", "gated", "persons", "list", *map(str, at)]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, check=False)
    assert ended.returncode == 5
    assert ended.stderr == b"gated: nothing more can be written: No space left on device\n"


def test_tables_fit_a_terminal_and_are_whole_in_a_pipe(gated: Gated, at: tuple[str, Path]) -> None:
    long = "Abteilung für außerordentlich lange Bezeichnungen und deren Verwaltung"
    assert gated("persons", "change", "E17", "--department", long, *at).code == 0
    assert long in gated("persons", "list", *at).out
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", 0) as screen:
        words = [sys.executable, "-m", "gated", "persons", "list", *map(str, at)]
        subprocess.run(words, stdout=theirs, check=True)
        os.close(theirs)
        seen = screen.read(4096).decode(errors="replace").splitlines()
    assert len(seen) == 2
    assert max(map(len, seen)) <= 80
    assert "…" in seen[1]
