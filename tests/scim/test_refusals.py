"""Strangers, other roles, and requests that are wrong: refused in SCIM's form, and never a 500."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gated.accounts.devices import Devices
from gated.database import change_feed, hub_ownership, stored_settings
from gated.scim.attributes import LONGEST
from tests.changes import done_by
from tests.fixtures.server import running
from tests.scim.bodies import ENTERPRISE, entra_user, patch, replace
from tests.scim.conftest import SCIM, Directory
from tests.web.table import read_table

ASKED = (
    ("GET", "/ServiceProviderConfig"),
    ("GET", "/ResourceTypes"),
    ("GET", "/ResourceTypes/User"),
    ("GET", "/Schemas"),
    ("GET", f"/Schemas/{ENTERPRISE}"),
    ("POST", "/.search"),
    *((method, f"/{kind}") for kind in ("Users", "Groups") for method in ("GET", "POST")),
    *(("POST", f"/{kind}/.search") for kind in ("Users", "Groups")),
    *(
        (method, f"/{kind}/1")
        for kind in ("Users", "Groups")
        for method in ("GET", "PUT", "PATCH", "DELETE")
    ),
)
"""Every route of the service."""


def test_every_route_is_for_a_directory_alone(directory: Directory) -> None:
    for method, path in ASKED:
        for client, wanted in ((directory.admin, 403), (None, 401), ("gated-device-x", 401)):
            headers = {"Content-Type": SCIM, "Authorization": ""}
            if client is directory.admin:
                headers["Authorization"] = directory.admin.headers["Authorization"]
            elif client:
                headers["Authorization"] = f"Bearer {client}"
            status, _ = directory.refused(method, path, {}, headers=headers)
            assert status == wanted, (method, path)
    _, other = done_by("test", Devices.of(directory.running.services.workspace).add, "a-gate")
    gate = {"Authorization": f"Bearer {other}"}
    assert directory.refused("GET", "/Users", headers=gate)[0] == 403


def test_a_directory_may_do_nothing_else(directory: Directory) -> None:
    for route in read_table():
        if route.who == "anyone":
            continue
        answer = directory.client.request(route.method, route.address, json={})
        assert answer.status_code in (403, 404), (route, answer.text)


def test_its_token_ends_when_it_is_removed(directory: Directory) -> None:
    body = {"name": "another", "role": "directory"}
    made = directory.admin.post("/api/devices", json=body).json()
    token = {"Authorization": f"Bearer {made['token']}"}
    directory.done("GET", "/Users", headers=token)
    roles = {d["username"]: d["role"] for d in directory.admin.get("/api/devices").json()}
    assert roles["another"] == "directory"
    assert directory.admin.delete(f"/api/devices/{made['id']}").status_code == 204
    assert directory.refused("GET", "/Users", headers=token)[0] == 401


def test_nothing_is_there_until_it_is_switched_on(tmp_path: Path) -> None:
    with running(tmp_path) as server, server.client("admin") as admin:
        body = {"name": "d", "role": "directory"}
        token = admin.post("/api/devices", json=body).json()["token"]
        for headers in ({}, {"Authorization": f"Bearer {token}"}):
            answer = admin.get("/scim/v2/Users", headers=headers)
            assert answer.status_code == 404


def test_what_the_server_refuses_is_told_in_the_form_of_scim(directory: Directory) -> None:
    assert directory.refused("GET", "/Nothing")[0] == 404
    assert directory.refused("GET", "/Users/a/b")[0] == 404
    assert directory.refused("GET", "/Schemas/urn:x")[0] == 404
    answer = directory.ask("PUT", "/Schemas", {})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    large = json.dumps({"userName": "x" * 300_000})
    assert directory.refused("POST", "/Users", content=large)[0] == 413
    many = json.dumps({"Operations": [1] * 30_000})
    assert directory.refused("PATCH", "/Users/1", content=many)[0] == 413
    for sent in ("", "{", "[]", "7", '"x"', "[" * 5000, "\xff"):
        status, why = directory.refused("POST", "/Users", content=sent)
        assert (status, why) == (400, "invalidSyntax"), sent
    plain = {"Content-Type": "text/plain"}
    assert directory.refused("POST", "/Users", content="{}", headers=plain)[0] == 400
    assert directory.ask("GET", "/Users/").status_code == 200, "a slash at the end"
    assert directory.ask("HEAD", "/Users").status_code == 200
    assert directory.ask("HEAD", "/Users/nobody").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"userName": None},
        {"userName": "  "},
        {"userName": 7},
        {"userName": ["a", "b"]},
        {"userName": "x" * (LONGEST + 1)},
        {"userName": "x" * LONGEST},
        {"userName": "two words", "externalId": None},
        {"userName": "only@address.example"},
        {"userName": "a\u200bb"},
        {"userName": "a\0b"},
        {"userName": "n", "externalId": "\ud800"},
        {"userName": "n", "active": "maybe"},
        {"userName": "n", "active": 1},
        {"userName": "n", "name": "Lena"},
        {"userName": "n", "name": {"givenName": {"x": 1}}},
        {"userName": "n", "name": {"givenName": "x" * 300}},
        {"userName": "n", "name": {"givenName": "\u202eanel"}},
        {"userName": "n", "emails": [7]},
        {"userName": "n", "emails": [{"value": "no address"}]},
        {"userName": "n", "emails": [{"value": 7, "type": "work"}]},
        {"userName": "n", "emails": [[]]},
        {"userName": "n", "phoneNumbers": [{"value": "call me"}]},
        {"userName": "n", "title": {}},
        {"userName": "n", "title": "t" * 300},
        {"userName": "n", ENTERPRISE: []},
        {"userName": "n", ENTERPRISE: {"employeeNumber": "with space"}},
        {"userName": "n", ENTERPRISE: {"employeeNumber": 17}},
        {"userName": "n", ENTERPRISE: {"department": ["IT"]}},
    ],
    ids=str,
)
def test_a_user_that_does_not_fit_is_refused_whole(
    directory: Directory, body: dict[str, Any]
) -> None:
    before = directory.admin.get("/api/persons").json()
    assert directory.refused("POST", "/Users", body) == (400, "invalidValue")
    assert directory.admin.get("/api/persons").json() == before


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "invalidSyntax"),
        ({"Operations": []}, "invalidSyntax"),
        ({"Operations": {}}, "invalidSyntax"),
        ({"Operations": [7]}, "invalidSyntax"),
        (patch(*[replace("title", "x")] * 201), "invalidSyntax"),
        (patch({"op": "move", "path": "title"}), "invalidSyntax"),
        (patch({"path": "title", "value": "x"}), "invalidSyntax"),
        (patch({"op": "remove"}), "noTarget"),
        (patch({"op": "replace", "value": "x"}), "invalidValue"),
        (patch({"op": "replace", "path": 7, "value": "x"}), "invalidPath"),
        (patch(replace("nothing", "x")), "invalidPath"),
        (patch(replace("title.x", "x")), "invalidPath"),
        (patch(replace("name.x", "x")), "invalidPath"),
        (patch(replace("title[a eq 1]", "x")), "invalidPath"),
        (patch(replace("emails[type eq", "x")), "invalidPath"),
        (patch(replace("emails[type]", "x")), "invalidPath"),
        (patch(replace('emails[type sw "w"].value', "x")), "invalidPath"),
        (patch(replace('emails[x eq "w"].value', "x@y.example")), "invalidPath"),
        (patch(replace("[]", "x")), "invalidPath"),
        (patch(replace("a.b.c.d", "x")), "invalidPath"),
        (patch(replace("x" * 3000, "x")), "invalidPath"),
        (patch(replace("emails" + "[" * 1900, "x")), "invalidPath"),
        (patch(replace("id", "x")), "mutability"),
        (patch(replace("groups", [])), "mutability"),
        (patch(replace("meta.created", "x")), "mutability"),
        (patch(replace("urn:ietf:params:scim:schemas:core:2.0:User", {})), "noTarget"),
        (patch(replace("userName", "")), "invalidValue"),
        (patch({"op": "remove", "path": "userName"}), "invalidValue"),
        (patch(replace("active", "perhaps")), "invalidValue"),
        (patch(replace("active", {})), "invalidValue"),
        (patch(replace("emails", [{"value": "nobody"}])), "invalidValue"),
        (patch(replace(ENTERPRISE, "x")), "invalidValue"),
        (patch(replace("title", "fine"), replace("nothing", "x")), "invalidPath"),
        (patch(replace("active", False), replace("title", 7)), "invalidValue"),
    ],
    ids=lambda x: str(x)[:70],
)
def test_operations_that_do_not_fit_change_nothing(
    directory: Directory, body: dict[str, Any], why: str
) -> None:
    sent = entra_user("somebody")
    query = {"filter": f'userName eq "{sent["userName"]}"'}
    found = directory.done("GET", "/Users", params=query)["Resources"]
    made = found[0] if found else directory.done("POST", "/Users", sent)
    assert directory.refused("PATCH", f"/Users/{made['id']}", body) == (400, why)
    assert directory.done("GET", f"/Users/{made['id']}") == made
    assert directory.refused("PATCH", "/Users/nobody", body)[0] in (400, 404)


def test_people_and_groups_of_the_hub_are_changed_there(directory: Directory) -> None:
    made = directory.done("POST", "/Users", entra_user("of-the-hub"))
    group = directory.done("POST", "/Groups", {"displayName": "Of the hub"})
    database = directory.running.services.workspace.database
    with database.write() as session:
        hub_ownership.remember(session, change_feed.PERSON, made["id"], 1)
        hub_ownership.remember(session, change_feed.GROUP, group["id"], 1)
        stored_settings.set_(session, hub_ownership.MEMBERSHIP, "sealed")
    here = f"/Users/{made['id']}"
    for operation in (replace("active", False), replace("title", "x"), replace("externalId", "x")):
        assert directory.refused("PATCH", here, patch(operation)) == (409, "mutability")
    assert directory.refused("DELETE", here) == (409, "mutability")
    assert directory.done("GET", here) == made
    there = f"/Groups/{group['id']}"
    member = [{"value": made["id"]}]
    for path, value in (("displayName", "X"), ("externalId", "x"), ("members", member)):
        refused = directory.refused("PATCH", there, patch(replace(path, value)))
        assert refused == (409, "mutability"), path
    assert directory.refused("DELETE", there) == (409, "mutability")
    with database.write() as session:
        stored_settings.set_(session, hub_ownership.MEMBERSHIP, None)


def test_the_last_administrator_stays(directory: Directory) -> None:
    made = directory.done("POST", "/Users", entra_user("the-boss"))
    person = directory.person(made["id"])
    accounts = directory.admin.get("/api/accounts").json()
    password = {"password": "Correct-horse-battery-9"}
    body = {"username": "boss", "role": "admin", "person_id": person["id"], **password}
    assert directory.admin.post("/api/accounts", json=body).status_code == 201
    (first,) = [a for a in accounts if a["username"] == "the-admin"]
    off = directory.admin.patch(f"/api/accounts/{first['id']}", json={"is_active": False})
    assert off.status_code == 200
    here = f"/Users/{made['id']}"
    try:
        refused = directory.refused("PATCH", here, patch(replace("active", False)))
        assert refused == (409, "mutability")
        assert directory.refused("DELETE", here) == (409, "mutability")
    finally:
        done_by("test", directory.running.services.accounts.enable, "the-admin")
        token = directory.running.services.accounts.sign_in("the-admin", **password, address="t")
        directory.admin.headers["Authorization"] = f"Bearer {token[0]}"
