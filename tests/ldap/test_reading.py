"""People read from a directory: added, changed, named when they are missing, and never removed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from gated.accounts.accounts import Accounts
from gated.config import (
    ApiSettings,
    AuthSettings,
    DirectorySettings,
    PrivacySettings,
    Settings,
    StorageSettings,
)
from gated.errors import SourceError
from gated.ldap import ber, filters
from gated.ldap.client import LdapClient
from gated.link.status_board import StatusBoard
from gated.web.app import create_app
from gated.web.server import ApiServer
from gated.web.services import api_services
from tests.assets import require_assets
from tests.fixtures.server import PASSWORD, QUICK_HASHES, Running, serving
from tests.ldap import directories
from tests.ldap.directories import BASE, READER, liar, slapd
from tests.workspaces import open_workspace

HERE = "/api/directory/import"

Entry = Mapping[str, str | bytes]


@contextmanager
def gate_of(folder: Path, url: str | None, **directory: Any) -> Iterator[httpx.Client]:
    """An administrator at a gate that reads this directory."""
    given = {"url": url, "base": BASE, **directory} if url else {}
    settings = Settings(
        storage=StorageSettings(state_dir=folder),
        api=ApiSettings(port=0),
        auth=AuthSettings(**QUICK_HASHES),
        privacy=PrivacySettings(require_consent=False),
        directory=DirectorySettings.model_validate(given),
    )
    with open_workspace(settings) as workspace:
        accounts = Accounts.of(workspace)
        for role in ("admin", "operator"):
            accounts.create(f"the-{role}", role, PASSWORD, actor="test")
        services = api_services(settings, workspace, accounts, StatusBoard())
        with (
            serving(ApiServer(create_app(services), settings.api)) as address,
            Running(services, address).client("admin") as client,
        ):
            yield client
        services.enrollment_queue.close()


@contextmanager
def gate_beside(folder: Path, people: list[Entry], **directory: Any) -> Iterator[httpx.Client]:
    """The same beside a real directory, which it reads as the reader."""
    folder.mkdir(exist_ok=True)
    secret = folder / "ldap.password"
    secret.write_text(directories.PASSWORD + "\n")
    with slapd(folder / "ldap", people) as found:
        known = {"bind_dn": READER, "password_file": secret, "ca_file": found.ca_file}
        with gate_of(folder / "state", found.url, **{**known, **directory}) as client:
            yield client


def ended(client: httpx.Client, **query: Any) -> dict[str, Any]:
    """Read the directory; the job when it is over."""
    answer = client.post(HERE, params=query)
    assert answer.status_code == 202, answer.text
    until = time.monotonic() + 120
    while True:
        job: dict[str, Any] = client.get(answer.headers["location"]).json()
        if job["state"] != "running":
            return job
        assert time.monotonic() < until, job
        time.sleep(0.02)


def report(client: httpx.Client, **query: Any) -> dict[str, Any]:
    job = ended(client, **query)
    assert job["state"] == "done", job
    return dict(job["report"])


def codes(client: httpx.Client) -> set[str]:
    return {p["personnel_code"] for p in client.get("/api/persons").json()}


ANNA = {"cn": "anna", "employeeNumber": "E1", "givenName": "Anna", "sn": "Berg",
        "mail": "anna@works.example", "telephoneNumber": "+49 30 1", "title": "Porter"}  # fmt: skip


def test_people_are_tried_first_then_added_and_changed_and_never_removed(tmp_path: Path) -> None:
    ben = {"cn": "ben", "employeeNumber": "E2", "givenName": "Ben", "sn": "Çelik"}
    nobody = {"cn": "nobody", "sn": "Nobody"}
    twice = {"cn": "twice", "sn": "Twice", "employeeNumber": "e1"}
    odd = {"cn": "odd", "sn": "Odd", "employeeNumber": "with space"}
    with gate_beside(tmp_path, [ANNA, ben, nobody, twice, odd]) as client:
        old = {"first_name": "Old", "last_name": "Hand", "personnel_code": "X9"}
        here = {"first_name": "B.", "last_name": "Celik", "personnel_code": "E2", "phone": "110"}
        for person in (old, here):
            assert client.post("/api/persons", json=person).status_code == 201
        tried = report(client)
        assert codes(client) == {"X9", "E2"}, "a try has written"
        done = report(client, dry_run=False)
        assert {**done, "dry_run": True} == tried
        assert done["added"] == ["E1"]
        assert done["changed"] == [{"personnel_code": "E2", "fields": ["first_name", "last_name"]}]
        assert done["missing"] == ["X9"]
        assert {r["what"].partition(",")[0] for r in done["refused"]} == {
            "cn=nobody", "cn=twice", "cn=odd",
        }  # fmt: skip
        people = {p["personnel_code"]: p for p in client.get("/api/persons").json()}
        assert people.keys() == {"E1", "E2", "X9"}
        assert people["X9"]["is_active"] is True
        assert (people["E2"]["last_name"], people["E2"]["phone"]) == ("Çelik", "110")
        anna = people["E1"]
        assert (anna["first_name"], anna["email"]) == ("Anna", "anna@works.example")
        assert (anna["phone"], anna["position"]) == ("+49 30 1", "Porter")
        acts = [a["kind"] for a in client.get("/api/audit", params={"limit": 2}).json()]
        assert acts == ["person_changed", "person_created"]
        again = report(client, dry_run=False)
        assert (again["added"], again["changed"], again["counts"]["same"]) == ([], [], 2)


def test_a_large_directory_comes_in_pages_and_has_a_bound(tmp_path: Path) -> None:
    """slapd gives fifty at a time, and the rest by pages."""
    many = [{"cn": f"p{n}", "employeeNumber": f"P{n}"} for n in range(430)]
    with gate_beside(tmp_path, list(many), most_people=430) as client:
        found = report(client)
        assert found["counts"] == {"added": 430}
    with gate_beside(tmp_path / "again", list(many[:51]), most_people=50) as client:
        job = ended(client, dry_run=False)
        assert job["state"] == "failed"
        assert "more than 50 people" in job["detail"]


def test_a_photo_of_the_directory_is_examined_as_any_other(tmp_path: Path) -> None:
    require_assets("default", "demo")
    good: Entry = {**ANNA, "jpegPhoto": require_assets("demo").read("biden.jpg")}
    bad: Entry = {"cn": "ben", "employeeNumber": "E2", "jpegPhoto": b"\xff\xd8\xff no photo"}
    with gate_beside(tmp_path, [good, bad], photo_attribute="jpegPhoto") as client:
        found = report(client, dry_run=False)
        assert found["added"] == ["E1", "E2"]
        assert found["photos"] == ["E1"]
        assert [(r["what"], r["code"]) for r in found["refused"]] == [
            ("E2 jpegPhoto", "unreadable_image")
        ]
        again = report(client, dry_run=False)
        assert again["photos"] == []
        assert len(client.get("/api/enrollment").json()) == 1


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("(employeeNumber=E1)", {"E1"}),
        ("(&(objectClass=inetOrgPerson)(!(employeeNumber=E1)))", {"E2", "E3"}),
        ("(|(sn=Berg)(sn=Çelik))", {"E1", "E2"}),
        ("(mail=*)", {"E1"}),
        ("(mail=a*@works*example)", {"E1"}),
        ("(mail=*example)", {"E1"}),
        ("(cn=\\2a)", {"E3"}),
        ("(cn:caseExactMatch:=ben)", {"E2"}),
        ("(employeeNumber=nobody)", set()),
    ],
)
def test_filters_are_those_of_the_standard(
    several: DirectorySettings, wanted: str, found: set[str]
) -> None:
    with LdapClient(several.model_copy(update={"filter": wanted})) as client:
        entries = list(client.entries(["employeeNumber"]))
    assert {(e.first("EMPLOYEENUMBER") or b"").decode() for e in entries} == found


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectorySettings]:
    folder = tmp_path_factory.mktemp("several")
    people: list[Entry] = [
        ANNA,
        {"cn": "ben", "sn": "Çelik", "employeeNumber": "E2"},
        {"cn": "*", "sn": "Star", "employeeNumber": "E3"},
    ]
    secret = folder / "ldap.password"
    secret.write_text(directories.PASSWORD)
    with slapd(folder / "ldap", people) as found:
        yield DirectorySettings(
            url=found.url, base=BASE, bind_dn=READER, password_file=secret, ca_file=found.ca_file
        )


@pytest.mark.parametrize(
    "wrong",
    [
        "", "cn=x", "(cn=x", "(cn=x))", "(cn=x)(sn=y)", "()", "(&)", "(!)", "(=x)", "(cn)",
        "(cn=\\zz)", "(a:b:c:=x)", "(:=x)", "(cn:x=y)", "(" * 30, "(!" * 30 + "(a=b)" + ")" * 30,
        "(cn=" + "x" * 3000 + ")",
    ],
)  # fmt: skip
def test_a_filter_that_is_none_is_told(several: DirectorySettings, wrong: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        filters.encoded(wrong)
    with (
        LdapClient(several.model_copy(update={"filter": wrong})) as client,
        pytest.raises(SourceError, match=r"directory\.filter"),
    ):
        list(client.entries(["cn"]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bind_dn": None, "password_file": None}, "no such place|may not read"),
        ({"bind_dn": "cn=nobody,dc=works,dc=example"}, "bind_dn or password is wrong"),
        ({"base": "ou=others,dc=works,dc=example"}, "no such place"),
        ({"base": "no name"}, "is no name"),
        ({"ca_file": None}, "cannot be reached.*certificate"),
        ({"url": "ldaps://127.0.0.1:1"}, "cannot be reached"),
    ],
    ids=["in nobody's name", "another name", "elsewhere", "nonsense", "unknown signer", "dead"],
)
def test_what_is_wrong_is_said(
    several: DirectorySettings, change: dict[str, Any], words: str
) -> None:
    settings = several.model_copy(update=change)
    with pytest.raises(SourceError, match=words), LdapClient(settings) as client:
        list(client.entries(["cn"]))


def answer(number: int, tag: int, *parts: bytes) -> bytes:
    return ber.tlv(ber.SEQUENCE, ber.integer(number), ber.tlv(tag, *parts))


def result(number: int, tag: int, code: int = 0, said: str = "") -> bytes:
    return answer(number, tag, ber.integer(code, ber.ENUMERATED), ber.text(""), ber.text(said))


BOUND = result(1, 0x61)


@pytest.mark.parametrize(
    "answers",
    [
        (b"",),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
        (b"\x30\x84\xff\xff\xff\xff",),
        (b"\x30\x80",),
        (b"\x30\x8f" + b"\1" * 15,),
        (b"\x30\x03\x02\x05\x01",),
        (b"\x30\x00",),
        (b"\x1f\x03abc",),
        (ber.tlv(ber.SEQUENCE, ber.integer(0), ber.tlv(0x78)),),
        (result(1, 0x65),),
        (answer(1, 0x61),),
        (result(1, 0x61, 49, "\x1b[31m"),),
        (BOUND, answer(2, 0x64)),
        (BOUND, answer(2, 0x64, ber.text("cn=x"), b"\x30\x05abc")),
        (BOUND, answer(2, 0x64, ber.text("cn=x"), ber.tlv(0x30, ber.tlv(0x30)))),
        (BOUND, result(2, 0x65, 4)),
        (BOUND, result(2, 0x61)),
    ],
    ids=lambda answers: answers[-1][:12].hex() or "silence",
)
def test_a_directory_that_lies_is_refused(answers: tuple[bytes, ...]) -> None:
    with liar(*answers) as url:
        settings = DirectorySettings(url=url, base=BASE)
        with pytest.raises(SourceError) as told, LdapClient(settings) as client:
            list(client.entries(["cn"]))
    assert str(told.value).isprintable()


def test_a_directory_that_never_ends_is_left() -> None:
    endless = b"".join(answer(2, 0x64, ber.text(f"cn={n}"), ber.tlv(0x30)) for n in range(200))
    with liar(BOUND, endless) as url:
        settings = DirectorySettings(url=url, base=BASE, most_people=100)
        with pytest.raises(SourceError, match="more than 100"), LdapClient(settings) as client:
            list(client.entries(["cn"]))


def test_a_message_of_millions_of_values_is_refused_before_they_are_kept() -> None:
    many = answer(2, 0x64, b"\x04\x00" * 100_000)
    with liar(BOUND, many) as url:
        settings = DirectorySettings(url=url, base=BASE)
        with pytest.raises(SourceError, match="more than 10000"), LdapClient(settings) as client:
            list(client.entries(["cn"]))


def test_entries_one_by_one_get_no_more_time_than_a_page() -> None:
    """Else a directory that sends one a minute would hold the only job for days."""
    entries = [answer(2, 0x64, ber.text(f"cn={n}"), ber.tlv(0x30)) for n in range(8)]
    with liar(BOUND, *entries, result(2, 0x65), every_s=0.1) as url:
        settings = DirectorySettings(url=url, base=BASE)
        with (
            pytest.raises(SourceError, match="in time"),
            LdapClient(settings, page_within_s=0.4) as client,
        ):
            list(client.entries(["cn"]))


@pytest.mark.long
def test_a_directory_that_says_nothing_is_left() -> None:
    with liar(b"", ends=False) as url:
        settings = DirectorySettings(url=url, base=BASE)
        with pytest.raises(SourceError, match="in time"), LdapClient(settings):
            pass


def test_only_an_administrator_reads_and_only_where_it_is_set_up(tmp_path: Path) -> None:
    with gate_of(tmp_path, None) as client:
        assert client.post(HERE).status_code == 404
        form = {"username": "the-operator", "password": PASSWORD}
        token = client.post("/api/auth/login", data=form).json()["access_token"]
        operator = {"Authorization": f"Bearer {token}"}
        assert client.post(HERE, headers=operator).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ldap://directory.example", "base": BASE},
        {"url": "https://directory.example", "base": BASE},
        {"url": "ldaps://", "base": BASE},
        {"url": "ldaps://directory.example:x", "base": BASE},
        {"url": "ldaps://directory.example/dc=x", "base": BASE},
        {"url": "ldaps://directory.example"},
        {"url": "ldaps://directory.example", "base": BASE, "attributes": {"last_name": "sn"}},
        {"url": "ldaps://directory.example", "base": BASE, "password_file": "x"},
        {"url": "ldaps://directory.example", "base": BASE, "bind_dn": "cn=gate"},
        {"attributes": {"is_active": "x"}},
        {"attributes": {"personnel_code": "a)(b"}},
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DirectorySettings.model_validate(wrong)
