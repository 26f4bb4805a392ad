"""The attendance log over HTTP: one's own times, reports, corrections."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from gated.attendance.attendance_store import SMALL_DEPARTMENT
from gated.core.messages import Decision
from gated.core.values import Direction, Instant, Outcome, PersonRef, Reason
from gated.journal.journal import decision_entry
from gated.people.people import People
from tests.changes import done_by
from tests.fixtures.server import PASSWORD, Running

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)

COUNT = iter(range(1, 1000))


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with server.client("operator") as client:
        yield client


def person(server: Running, **fields: Any) -> PersonRef:
    given = {"personnel_code": f"A{next(COUNT)}", "first_name": "Ada", "last_name": "Lovelace"}
    return done_by("test", People.of(server.services.workspace).create, given | fields).ref


def passed(
    server: Running, who: PersonRef | None, hours: float, direction: str = "entry"
) -> dict[str, Any]:
    """A decision of the gate so many hours after Monday's midnight; the row it made."""
    decision = Decision(
        at=Instant(1.0, (MONDAY + timedelta(hours=hours)).timestamp()),
        outcome=Outcome.GRANTED if who else Outcome.DENIED,
        reason=Reason.GRANTED if who else Reason.NO_MATCH,
        person=who,
        direction=Direction(direction),
        confidence=0.875,
        score=0.5,
    )
    journal = server.services.workspace.journal
    (receipt,) = journal.append([decision_entry(decision, "north", "cam", "works")])
    with server.client("viewer") as client:
        found: dict[str, Any] = client.get(f"/api/attendance/{receipt.attendance_id}").json()
    return found


def rows_of(client: httpx.Client, who: PersonRef, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/attendance", params={"person_id": who.id, **query})
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()
    return found


def test_one_row(server: Running, client: httpx.Client) -> None:
    ada = person(server)
    row = passed(server, ada, 8)
    versions = row.pop("versions")
    assert rows_of(client, ada) == [row]
    assert [(v["id"], v["kind"], v["author"]) for v in versions] == [(row["id"], "decision", None)]
    assert client.get("/api/attendance/999999").status_code == 404
    assert client.get(f"/api/attendance/{10**30}").status_code == 404
    assert client.get("/api/attendance/x").status_code == 422


def test_a_correction_takes_the_place_of_a_row_that_stays(
    server: Running, client: httpx.Client
) -> None:
    ada = person(server)
    old = passed(server, ada, 8)
    body = {"created_at": "2026-03-02T09:30:00+02:00", "direction": "exit", "reason": "forgot it"}
    answer = client.post(f"/api/attendance/{old['id']}/corrections", json=body)
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert answer.headers["Location"] == f"/api/attendance/{new['id']}"
    assert new["created_at"] == "2026-03-02T07:30:00Z"
    assert (new["direction"], new["status"], new["reason"]) == ("exit", "granted", "corrected")
    assert (new["method"], new["score"], new["confidence_score"]) == ("face", 0.5, 0.875)
    assert rows_of(client, ada) == [new]
    raw = rows_of(client, ada, raw=True)
    old.pop("versions")
    assert raw == [old | {"superseded_by": new["id"]}, new]
    for id_ in (old["id"], new["id"]):
        versions = client.get(f"/api/attendance/{id_}").json()["versions"]
        assert [(v["id"], v["author"], v["cause"]) for v in versions] == [
            (old["id"], None, None),
            (new["id"], "the-operator", "forgot it"),
        ]
    assert server.services.workspace.journal.verify().ok


def test_what_was_corrected_is_corrected_further_and_not_again(
    server: Running, client: httpx.Client
) -> None:
    ada = person(server)
    first = f"/api/attendance/{passed(server, ada, 8)['id']}/corrections"
    void = {"status": "void", "reason": "a colleague"}
    second = client.post(first, json=void).headers["Location"]
    again = client.post(first, json=void)
    assert (again.status_code, again.json()["code"]) == (409, "already_done")
    assert second.rpartition("/")[2] in again.json()["detail"]
    bert = person(server)
    more = {"status": "granted", "person_id": bert.id, "reason": "it was Bert"}
    third = client.post(f"{second}/corrections", json=more).json()
    assert (third["person_id"], third["status"], third["method"]) == (bert.id, "granted", "manual")
    assert (third["score"], third["confidence_score"]) == (None, 0.0)
    late = client.post(first, json=void).json()["detail"]
    assert late.endswith(f"correct row {third['id']}"), "not the one that was corrected as well"
    assert rows_of(client, ada) == []
    assert rows_of(client, bert) == [third]
    assert len(client.get(f"/api/attendance/{third['id']}").json()["versions"]) == 3
    assert server.services.workspace.journal.verify().ok


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"reason": "no"}, 422),
        ({"reason": "nothing different"}, 422),
        ({"reason": "the same", "direction": "entry"}, 422),
        ({"reason": "to come", "created_at": "2200-01-01T00:00:00Z"}, 422),
        ({"reason": "long ago", "created_at": "1970-01-01T00:00:00Z"}, 422),
        ({"reason": "no time", "created_at": "2026-01-01T25:00"}, 422),
        ({"reason": "whose", "person_id": 999_999}, 404),
        ({"reason": "whose", "person_id": 10**30}, 404),
        ({"reason": "denied", "status": "denied"}, 422),
        ({"reason": "fields", "confidence_score": 1.0}, 422),
    ],
)
def test_corrections_that_are_refused_leave_nothing(
    server: Running, client: httpx.Client, body: dict[str, Any], status: int
) -> None:
    ada = person(server)
    old = passed(server, ada, 8)
    answer = client.post(f"/api/attendance/{old['id']}/corrections", json=body)
    assert answer.status_code == status, answer.text
    del old["versions"]
    assert rows_of(client, ada, raw=True) == [old]


def test_a_stranger_cannot_be_granted_without_a_name(server: Running, client: httpx.Client) -> None:
    path = f"/api/attendance/{passed(server, None, 8)['id']}/corrections"
    answer = client.post(path, json={"status": "granted", "reason": "let in by hand"})
    assert answer.status_code == 422
    ada = person(server)
    named = {"status": "granted", "person_id": ada.id, "reason": "let in by hand"}
    assert client.post(path, json=named).status_code == 201
    assert server.services.workspace.journal.verify().ok


def test_a_punch_by_hand(server: Running, client: httpx.Client) -> None:
    ada = person(server)
    body = {
        "person_id": ada.id,
        "direction": "exit",
        "created_at": "2026-03-02T17:00:00+01:00",
        "reason": "left by the yard",
    }
    answer = client.post("/api/attendance", json=body)
    assert answer.status_code == 201, answer.text
    row = answer.json()
    assert (row["method"], row["reason"], row["status"]) == ("manual", "manual", "granted")
    assert (row["gate_name"], row["site"]) == ("north", "works")
    assert row["created_at"] == "2026-03-02T16:00:00Z"
    assert client.post("/api/attendance", json=body).status_code == 409
    versions = client.get(answer.headers["Location"]).json()["versions"]
    assert [(v["kind"], v["author"]) for v in versions] == [("manual_punch", "the-operator")]
    now = client.post(
        "/api/attendance", json={"person_id": ada.id, "direction": "entry", "reason": "came back"}
    ).json()
    assert abs(datetime.fromisoformat(now["created_at"]) - datetime.now(UTC)) < timedelta(minutes=2)
    assert client.post("/api/attendance", json=body | {"person_id": 999_999}).status_code == 404
    assert server.services.workspace.journal.verify().ok


def test_an_erasure_takes_the_reason_along(server: Running, client: httpx.Client) -> None:
    ada = person(server)
    old = passed(server, ada, 8)
    body = {"direction": "exit", "reason": "was with the doctor"}
    path = client.post(f"/api/attendance/{old['id']}/corrections", json=body).headers["Location"]
    with server.client("admin") as admin:
        assert admin.delete(f"/api/persons/{ada.id}").status_code == 200
    found = client.get(path).json()
    assert found["person_id"] is None
    assert found["versions"][1] | {"author": "the-operator", "cause": None} == found["versions"][1]
    assert server.services.workspace.journal.verify().ok


def test_the_days_of_people(server: Running, client: httpx.Client) -> None:
    ada, bert = person(server, department="Mill"), person(server, department="Mill")
    for hours, direction in ((8, "entry"), (12, "exit"), (12.5, "entry"), (17, "exit")):
        passed(server, ada, hours, direction)
    passed(server, bert, 22, "entry")
    passed(server, bert, 30, "exit")
    passed(server, bert, 46, "entry")
    period = {"department": "Mill", "from": "2026-03-02", "to": "2026-03-03"}
    first, night, forgotten = client.get("/api/attendance/summary", params=period).json()
    assert (first["person_id"], first["date"]) == (ada.id, "2026-03-02")
    assert (first["inside_s"], first["break_s"], first["open_visits"]) == (8.5 * 3600, 1800, 0)
    assert first["first_in"] == "2026-03-02T08:00:00Z"
    assert first["last_out"] == "2026-03-02T17:00:00Z"
    assert first["breaks"] == [{"begin": "2026-03-02T12:00:00Z", "end": "2026-03-02T12:30:00Z"}]
    assert (night["date"], night["last_out"]) == ("2026-03-02", "2026-03-03T06:00:00Z")
    assert (forgotten["date"], forgotten["open_visits"], forgotten["inside_s"]) == (
        "2026-03-03",
        1,
        0,
    )
    only = client.get("/api/attendance/summary", params=period | {"person_id": ada.id}).json()
    assert only == [first]
    spelt = client.get("/api/attendance/summary", params=period | {"department": "MILL"})
    assert spelt.json() == [first, night, forgotten]
    none = client.get("/api/attendance/summary", params=period | {"department": "Kiln"})
    assert none.json() == []
    table = client.get("/api/attendance/summary", params=period | {"format": "csv"})
    lines = list(csv.DictReader(io.StringIO(table.text)))
    assert [(x["date"], x["inside"], x["last_out"]) for x in lines] == [
        ("2026-03-02", "30600", "2026-03-02T17:00:00+00:00"),
        ("2026-03-02", "28800", "2026-03-03T06:00:00+00:00"),
        ("2026-03-03", "0", ""),
    ]


def test_days_come_in_pages_by_person_or_day_and_totals_apart(
    server: Running, client: httpx.Client
) -> None:
    three = [person(server, department="Pages") for _ in range(3)]
    for who in three:
        for day in range(4):
            passed(server, who, 24 * day + 8, "entry")
            passed(server, who, 24 * day + 10, "exit")
    asked = {"department": "Pages", "from": "2026-03-01", "to": "2026-03-31"}
    ids, dates = [p.id for p in three], [f"2026-03-0{n}" for n in range(2, 6)]
    expected = {
        "person": [(i, d) for i in ids for d in dates],
        "day": [(i, d) for d in dates for i in ids],
    }
    for by, wanted in expected.items():
        for limit in (1, 5, 12, 100):
            query = {**asked, "by": by, "limit": limit}
            pages = pages_of(client, "/api/attendance/summary", query)
            assert [(d["person_id"], d["date"]) for page in pages for d in page] == wanted
            assert max(map(len, pages)) <= limit
    for limit in (1, 2, 100):
        pages = pages_of(client, "/api/attendance/summary/totals", {**asked, "limit": limit})
        sums = [(t["person_id"], t["days"], t["inside_s"]) for page in pages for t in page]
        assert sums == [(i, 4, 4 * 7200) for i in ids]
    for wrong in ("cursor=x", "cursor=2026-03-02.x", "limit=0", "by=month"):
        answer = client.get(f"/api/attendance/summary?{wrong}")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def pages_of(client: httpx.Client, path: str, query: dict[str, Any]) -> list[list[dict[str, Any]]]:
    answer, pages = client.get(path, params=query), []
    while True:
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        if "next" not in answer.links:
            return pages
        answer = client.get(answer.links["next"]["url"])


def test_local_times_have_the_offset_of_the_gate_in_every_answer(
    server: Running, client: httpx.Client
) -> None:
    """In at 02:40, out at 02:20: the clocks were put back meanwhile."""
    ada, site = person(server), {"site": server.services.settings.gate.site}
    with server.client("admin") as admin:
        put = {"timezone": "Europe/Berlin"}
        assert admin.put("/api/access/rules", params=site, json=put).status_code == 200
        night = (datetime(2026, 10, 25, 0, 40, tzinfo=UTC) - MONDAY) / timedelta(hours=1)
        passed(server, ada, night, "entry")
        row = passed(server, ada, night + 2 / 3, "exit")
        admin.put("/api/access/rules", params=site, json={"timezone": None})
    assert (row["timezone"], row["local_time"]) == ("Europe/Berlin", "2026-10-25T02:20:00+01:00")
    assert row["created_at"] == "2026-10-25T01:20:00Z"
    asked: dict[str, Any] = {"person_id": ada.id, "from": "2026-10-25", "to": "2026-10-25"}
    (day,) = client.get("/api/attendance/summary", params=asked).json()
    times = ("2026-10-25T02:40:00+02:00", "2026-10-25T02:20:00+01:00")
    assert (day["first_in"], day["last_out"]) == times
    assert (day["visits"][0]["entry"], day["visits"][0]["exit"]) == times
    assert day["inside_s"] == 2400
    days = client.get("/api/attendance/summary", params=asked | {"format": "csv"})
    (line,) = csv.DictReader(io.StringIO(days.text))
    assert (line["first_in"], line["last_out"]) == times
    assert (line["first_in_offset"], line["last_out_offset"]) == ("UTC+02:00", "UTC+01:00")
    log = client.get("/api/attendance/export", params={"person_id": ada.id})
    lines = list(csv.DictReader(io.StringIO(log.text)))
    assert [x["local_time"] for x in lines] == [times[1], times[0]]
    assert [(x["timezone"], x["utc_offset"]) for x in lines] == [
        ("Europe/Berlin", "UTC+01:00"),
        ("Europe/Berlin", "UTC+02:00"),
    ]
    assert server.services.workspace.journal.verify().ok


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-03-03&to=2026-03-02",
        "from=2020-01-01&to=2026-01-01",
        "from=0001-01-01&to=0001-01-02",
        "from=9999-12-30&to=9999-12-31",
        "from=x",
        "format=pdf",
        "person_id=x",
    ],
)
def test_periods_that_are_none(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/api/attendance/summary?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    "query",
    [
        "from=0001-01-01T00:00:00%2B14:00",
        "to=9999-12-31T23:59:59-14:00",
        "from=2026-01-01T25:00",
        f"gate_name={'x' * 201}",
        "cursor=AAAA",
        "direction=up",
        "status=gone",
        "limit=0",
    ],
)
def test_filters_that_are_none(client: httpx.Client, query: str) -> None:
    for path in ("", "/export"):
        if path and query.startswith(("cursor", "limit")):
            continue
        answer = client.get(f"/api/attendance{path}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), path


def test_the_export_is_the_list_as_a_table(server: Running, client: httpx.Client) -> None:
    eve = person(server, first_name="=HYPERLINK()", last_name="Zoë", department="-x")
    for hours in (8, 12):
        passed(server, eve, hours)
    query = {"person_id": eve.id}
    answer = client.get("/api/attendance/export", params=query)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="attendance.csv"'
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(x["id"]) for x in lines] == [r["id"] for r in rows_of(client, eve)]
    assert (lines[0]["first_name"], lines[0]["last_name"]) == ("'=HYPERLINK()", "Zoë")
    assert (lines[0]["department"], lines[0]["local_time"]) == ("'-x", "2026-03-02T12:00:00+00:00")
    marked = client.get("/api/attendance/export", params=query | {"bom": True})
    assert marked.content == "\ufeff".encode() + answer.content
    book = client.get("/api/attendance/export", params=query | {"format": "xlsx"})
    with zipfile.ZipFile(io.BytesIO(book.content)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert ">=HYPERLINK()</t>" in sheet
    assert sheet.count("<row>") == 3
    assert client.get("/api/attendance/export?format=xml").status_code == 422
    empty = client.get("/api/attendance/export?person_id=999999")
    assert empty.text.count("\n") == 1


def test_lists_and_exports_of_a_department(server: Running, client: httpx.Client) -> None:
    ada, bert = person(server, department="Forge"), person(server, department="Foundry")
    mine, _ = passed(server, ada, 8), passed(server, bert, 8)
    passed(server, None, 8)
    found = client.get("/api/attendance?department=Forge").json()
    assert [r["id"] for r in found] == [mine["id"]]
    table = client.get("/api/attendance/export?department=Forge").text
    assert [int(x["id"]) for x in csv.DictReader(io.StringIO(table))] == [mine["id"]]
    spelt = client.get("/api/attendance?department=%20FORGE")
    assert [r["id"] for r in spelt.json()] == [mine["id"]], "as in the list of people"
    both = client.get("/api/attendance?department=Forge&direction=exit")
    assert both.json() == []


def test_a_department_of_many_is_found_in_another_way(
    server: Running, client: httpx.Client
) -> None:
    team = [person(server, department="Choir") for _ in range(SMALL_DEPARTMENT + 1)]
    ids = [passed(server, who, 8 + n)["id"] for n, who in enumerate(team[-3:])]
    found = client.get("/api/attendance?department=Choir").json()
    assert [r["id"] for r in found] == ids[::-1]


def test_tables_that_leave_the_house_are_journaled(server: Running, client: httpx.Client) -> None:
    ada = person(server)
    since: dict[str, Any] = {"person_id": ada.id, "from": "2026-03-01T00:00:00Z"}
    days: dict[str, Any] = {"person_id": ada.id, "from": "2026-03-01", "to": "2026-03-31"}
    client.get("/api/attendance/export", params=since)
    client.get("/api/attendance/summary", params=days)
    client.get("/api/attendance/summary", params=days | {"format": "xlsx"})
    client.get("/api/attendance/export", params={"format": "xml"})
    with server.client("admin") as admin:
        told = admin.get("/api/audit", params={"kind": "exported", "limit": 2}).json()
    assert [t["body"] for t in told] == [{"table": "days"}, {"table": "attendance"}]
    assert {t["actor"]["name"] for t in told} == {"the-operator"}
    assert told[0]["actor"]["filters"] == days
    when = "2026-03-01T00:00:00+00:00"
    assert told[1]["actor"]["filters"] == {"person_id": ada.id, "from": when}


def test_one_sees_ones_own_times_and_nobody_elses(server: Running) -> None:
    mine, other = person(server), person(server)
    server.services.accounts.create("ada", "self", PASSWORD, actor="test", person_id=mine.id)
    passed(server, mine, 8)
    passed(server, mine, 17, "exit")
    passed(server, other, 8)
    token, _ = server.services.accounts.sign_in("ada", PASSWORD, "test")
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(
        base_url=server.address, headers=headers, trust_env=False, timeout=60
    ) as client:
        rows = client.get("/api/attendance/me").json()
        assert [r["direction"] for r in rows] == ["exit", "entry"]
        assert not {"score", "threshold", "margin", "confidence_score"} & rows[0].keys()
        page = client.get("/api/attendance/me?limit=1")
        assert client.get(page.links["next"]["url"]).json() == rows[1:]
        days = client.get("/api/attendance/me/summary?from=2026-03-01&to=2026-03-31").json()
        assert [(d["person_id"], d["inside_s"]) for d in days] == [(mine.id, 9 * 3600)]
        assert client.get(f"/api/attendance/me?person_id={other.id}").status_code == 422
        for path in ("", "/summary", "/export", f"/{rows[0]['id']}"):
            assert client.get(f"/api/attendance{path}").status_code == 403
    with server.client("self") as nobody:
        assert nobody.get("/api/attendance/me").json() == []
        assert nobody.get("/api/attendance/me/summary").json() == []


def test_months_are_told_as_pages_and_as_tables_in_the_language(
    client: httpx.Client, server: Running
) -> None:
    ada, idle = person(server, department="Paid"), person(server, department="Paid")
    passed(server, ada, 8)
    passed(server, ada, 16.5, "exit")
    asked = {"from": "2026-03", "department": "Paid"}
    first = client.get("/api/attendance/months", params={**asked, "limit": 1})
    assert [(m["person_id"], m["worked_s"]) for m in first.json()] == [(ada.id, 30_600)]
    following = client.get(first.links["next"]["url"])
    assert [(m["person_id"], m["days"]) for m in following.json()] == [(idle.id, 0)]
    assert "next" not in following.links
    table = client.get(
        "/api/attendance/months", params={**asked, "format": "csv", "language": "de"}
    )
    rows = list(csv.DictReader(io.StringIO(table.content.decode("utf-8-sig")), delimiter=";"))
    assert [row["Ist (Std.)"] for row in rows] == ["8,5", "0,0"]
    days = {**asked, "from": "2026-03-01", "to": "2026-03-31", "language": "de", "format": "csv"}
    (day,) = csv.DictReader(
        io.StringIO(client.get("/api/attendance/summary", params=days).content.decode("utf-8-sig")),
        delimiter=";",
    )
    assert day["Erstes Kommen (Ortszeit)"] == "2026-03-02 08:00:00"
    assert client.get("/api/attendance/months", params={"from": "2026"}).status_code == 422
    assert client.get("/api/attendance/months", params={"from": "2026-13"}).status_code == 422
    assert client.get("/api/attendance/months", params={"from": "9999-12"}).status_code == 422


def test_days_and_times_without_an_offset_are_the_sites(
    client: httpx.Client, server: Running
) -> None:
    ada = person(server)
    punched = {"person_id": ada.id, "reason": "forgotten"}
    with server.client("admin") as admin:
        rules = admin.get("/api/access/rules")
        zone = {"timezone": "America/New_York"}
        changed = admin.put(
            "/api/access/rules", json=zone, headers={"If-Match": rules.headers["ETag"]}
        )
        assert changed.status_code == 200, changed.text
    try:
        morning = {**punched, "direction": "entry", "created_at": "2026-03-02T08:00"}
        made = client.post("/api/attendance", json=morning)
        assert made.status_code == 201, made.text
        assert made.json()["created_at"] == "2026-03-02T13:00:00Z"
        evening = {**punched, "direction": "exit", "created_at": "2026-03-02T23:30:00-05:00"}
        assert client.post("/api/attendance", json=evening).status_code == 201
        of_ada: dict[str, Any] = {"person_id": ada.id}
        day = {**of_ada, "from": "2026-03-02", "to": "2026-03-02"}
        assert len(client.get("/api/attendance", params=day).json()) == 2
        before = {**of_ada, "to": "2026-03-02T08:00"}
        assert client.get("/api/attendance", params=before).json() == []
        exported = client.get("/api/attendance/export", params=day).text.splitlines()
        assert len(exported) == 3
        until = {"valid_from": "2026-03-02", "valid_until": "2026-03-02"}
        access = client.put(f"/api/persons/{ada.id}/access", json=until).json()
        assert access["valid_from"] == "2026-03-02T05:00:00Z"
        assert access["valid_until"] == "2026-03-03T05:00:00Z"
        explained = f"/api/persons/{ada.id}/explain"
        told = client.get(explained, params={"at": "2026-03-02T22:00", "with": "face"}).json()
        assert told["at"] == "2026-03-02T22:00:00-05:00"
        for wrong in ("soon", "2026-02-30", "2026-03-02T25:00"):
            assert client.get("/api/attendance", params={"from": wrong}).status_code == 422, wrong
    finally:
        with server.client("admin") as admin:
            tag = admin.get("/api/access/rules").headers["ETag"]
            admin.put("/api/access/rules", json={"timezone": None}, headers={"If-Match": tag})
