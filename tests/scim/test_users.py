"""Users over SCIM: as directories send them, and people as they are then."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.scim.bodies import ENTERPRISE, entra_user, okta_user, patch, replace
from tests.scim.conftest import Directory, directory_of

_NUMBERS = count(1)

SHOWN = ("first_name", "last_name", "personnel_code", "email", "is_active")


def fresh(what: str = "person") -> str:
    return f"{what}{next(_NUMBERS)}"


def added(directory: Directory, **more: Any) -> dict[str, Any]:
    return directory.done("POST", "/Users", entra_user(fresh(), **more))


def shown(person: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(person[name] for name in SHOWN)


def test_a_user_of_entra_becomes_a_person(directory: Directory) -> None:
    name = fresh()
    sent = entra_user(name, **{ENTERPRISE: {"employeeNumber": f"E-{name}", "department": "IT"}})
    answer = directory.ask("POST", "/Users", sent)
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == made["meta"]["location"]
    assert made["meta"]["location"].endswith(f"/scim/v2/Users/{made['id']}")
    assert answer.headers["etag"] == made["meta"]["version"]
    assert made["userName"] == f"{name}@works.example"
    assert made["externalId"] == name
    person = directory.person(made["id"])
    address = f"{name}@works.example"
    assert shown(person) == ("Lena", name, f"E-{name}", address, True)
    assert person["department"] == "IT"
    (act,) = directory.admin.get("/api/audit", params={"limit": 1}).json()
    assert (act["kind"], act["actor"]["name"]) == ("person_created", "the-directory")
    assert directory.done("GET", f"/Users/{made['id']}") == made


def test_a_user_of_okta_becomes_a_person_without_password(directory: Directory) -> None:
    name = fresh()
    made = directory.done("POST", "/Users", okta_user(name))
    person = directory.person(made["id"])
    assert shown(person) == ("Omar", name, f"00u{name}", f"{name}@works.example", True)
    assert "password" not in made
    accounts = directory.admin.get("/api/accounts").json()
    assert [a["username"] for a in accounts] == ["the-admin"]


def test_somebody_without_a_name_is_called_as_the_directory_shows_them(
    directory: Directory,
) -> None:
    name = fresh()
    sent = entra_user(name)
    del sent["name"]
    made = directory.done("POST", "/Users", sent)
    assert directory.person(made["id"])["last_name"] == f"Lena {name}"


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param([replace("active", "False")], id="a text of Entra"),
        pytest.param([replace("active", [{"value": "false"}])], id="a list of old Entra"),
        pytest.param([replace(None, {"active": False})], id="an object of Okta"),
        pytest.param([{"op": "replace", "path": "active", "value": False}], id="the standard"),
        pytest.param([{"op": "add", "path": "ACTIVE", "value": False}], id="in capitals"),
    ],
)
def test_who_is_switched_off_there_is_switched_off_here(
    directory: Directory, operations: list[dict[str, Any]]
) -> None:
    made = added(directory)
    after = directory.done("PATCH", f"/Users/{made['id']}", patch(*operations))
    assert after["active"] is False
    assert directory.person(made["id"])["is_active"] is False
    (act,) = directory.admin.get("/api/audit", params={"limit": 1}).json()
    assert act["kind"] == "person_deactivated"
    back = directory.done("PATCH", f"/Users/{made['id']}", patch(replace("active", "True")))
    assert back["active"] is True
    assert directory.person(made["id"])["is_active"] is True


def test_a_patch_changes_what_it_names_and_nothing_else(directory: Directory) -> None:
    more = {ENTERPRISE: {"employeeNumber": fresh("E"), "department": "IT"}, "title": "Engineer"}
    phones = [{"type": "work", "value": "+49 30 1234"}]
    made = added(directory, phoneNumbers=phones, **more)
    before = directory.person(made["id"])
    own = {"leaves_on": "2999-12-31", "extended_unlock": True}
    assert directory.admin.put(f"/api/persons/{before['id']}", json=own).status_code == 200
    before = directory.person(made["id"])
    directory.done("PATCH", f"/Users/{made['id']}", patch(replace("title", "Head")))
    counted = ("position", "updated_at")
    after = directory.person(made["id"])
    assert after["position"] == "Head"
    assert {k: v for k, v in after.items() if k not in counted} == {
        k: v for k, v in before.items() if k not in counted
    }


@pytest.mark.parametrize(
    ("operation", "field", "value"),
    [
        (replace('emails[type eq "work"].value', "n{}@works.example"), "email",
         "n{}@works.example"),
        (replace('emails[type eq "other"].value', "n{}@works.example"), "email", None),
        (replace("emails", [{"value": "o{}@works.example", "primary": "True"}]), "email",
         "o{}@works.example"),
        ({"op": "Add", "path": "emails", "value": [{"value": "a{}@works.example"}]}, "email",
         "a{}@works.example"),
        ({"op": "Remove", "path": 'emails[type eq "work"]'}, "email", ""),
        ({"op": "remove", "path": "emails"}, "email", ""),
        (replace("name.givenName", "Lea"), "first_name", "Lea"),
        (replace("name", {"givenName": "Lea"}), "first_name", "Lea"),
        (replace(None, {"name.familyName": "Berg", "displayName": "x"}), "last_name", "Berg"),
        (replace(f"{ENTERPRISE}:department", "Sales"), "department", "Sales"),
        (replace(None, {f"{ENTERPRISE}:department": "Sales"}), "department", "Sales"),
        (replace(None, {ENTERPRISE: {"department": "Sales"}}), "department", "Sales"),
        (replace(ENTERPRISE.upper() + ":Department", "Sales"), "department", "Sales"),
        (replace(f"{ENTERPRISE}:employeeNumber", "N{}"), "personnel_code", "N{}"),
        (replace('phoneNumbers[type eq "work"].value', "tel:+4930123"), "phone", "+4930123"),
        (replace('phoneNumbers[type eq "mobile"].value', "+4917112"), "phone", None),
        ({"op": "Add", "path": "title", "value": "Chief"}, "position", "Chief"),
    ],
)  # fmt: skip
def test_operations_of_directories_change_a_field(
    directory: Directory, operation: dict[str, Any], field: str, value: str | None
) -> None:
    made = added(directory)
    number, before = str(next(_NUMBERS)), directory.person(made["id"])
    plain = str(operation.get("value")).replace("{}", number) if "{}" in str(operation) else None
    if plain is not None:
        told = operation["value"]
        operation = {**operation, "value": plain if isinstance(told, str) else [
            {**told[0], "value": told[0]["value"].replace("{}", number)}
        ]}  # fmt: skip
    directory.done("PATCH", f"/Users/{made['id']}", patch(operation))
    after = directory.person(made["id"])
    wanted = before[field] if value is None else (value.replace("{}", number) or None)
    assert after[field] == wanted
    same = {k for k in after if k not in (field, "updated_at")}
    assert {k: after[k] for k in same} == {k: before[k] for k in same}


def test_what_is_kept_by_nobody_here_is_passed_over(directory: Directory) -> None:
    made = added(directory)
    operations = [
        replace('addresses[type eq "work"].streetAddress', "Gate 1"),
        replace(f"{ENTERPRISE}:manager", "7"),
        replace("preferredLanguage", "de"),
        replace("displayName", "Somebody Else"),
        replace("title", "Porter"),
    ]
    after = directory.done("PATCH", f"/Users/{made['id']}", patch(*operations))
    assert after["title"] == "Porter"
    assert after["displayName"] == made["displayName"]


def test_a_put_makes_somebody_as_the_directory_has_them(directory: Directory) -> None:
    made = added(directory, title="Porter", phoneNumbers=[{"value": "123", "type": "work"}])
    code = directory.person(made["id"])["personnel_code"]
    name = fresh("renamed")
    directory.done("PUT", f"/Users/{made['id']}", okta_user(name, active=False))
    person = directory.person(made["id"])
    assert shown(person) == ("Omar", name, code, f"{name}@works.example", False)
    assert (person["position"], person["phone"]) == (None, None)
    sent = okta_user(name)
    del sent["active"]
    directory.done("PUT", f"/Users/{made['id']}", sent)
    assert directory.person(made["id"])["is_active"] is False, "nobody said that they are back"


def test_people_from_before_the_directory_are_found_and_stay_themselves(
    directory: Directory,
) -> None:
    name = fresh()
    body = {"first_name": "Old", "last_name": name, "personnel_code": f"C-{name}",
            "email": f"{name}@Works.example", "phone": "110"}  # fmt: skip
    before = directory.admin.post("/api/persons", json=body).json()
    query = {"filter": f'userName eq "{name}@works.example"'}
    (found,) = directory.done("GET", "/Users", params=query)["Resources"]
    assert found["id"] == before["uid"]
    assert found["userName"] == f"{name}@Works.example"
    link = [replace("externalId", "x-1"), replace("userName", f"{name}@works.example")]
    directory.done("PATCH", f"/Users/{found['id']}", patch(*link))
    after = directory.person(before["uid"])
    counted = "updated_at"
    assert {**after, counted: 0} == {**before, counted: 0}
    (again,) = directory.done("GET", "/Users", params=query)["Resources"]
    assert (again["id"], again["externalId"]) == (before["uid"], "x-1")


def test_each_filter_finds_one_and_a_wrong_one_nobody(directory: Directory) -> None:
    made = added(directory, **{ENTERPRISE: {"employeeNumber": fresh("F")}})
    other = added(directory, active=False)
    address, number = made["emails"][0]["value"], made[ENTERPRISE]["employeeNumber"]
    for asked in (
        f'id eq "{made["id"]}"',
        f'userName eq "{made["userName"].upper()}"',
        f'username Eq "{made["userName"]}"',
        f'externalId eq "{made["externalId"]}"',
        f'emails.value eq "{address}"',
        f'emails[type eq "work"].value eq "{address}"',
        f'emails[type eq "work" and value eq "{address}"]',
        f'{ENTERPRISE}:employeeNumber eq "{number}"',
        f'urn:ietf:params:scim:schemas:core:2.0:User:userName eq "{made["userName"]}"',
        f'userName eq "{made["userName"]}" and active eq true',
    ):
        answer = directory.done("GET", "/Users", params={"filter": asked})
        assert [u["id"] for u in answer["Resources"]] == [made["id"]], asked
        assert (answer["totalResults"], answer["itemsPerPage"]) == (1, 1)
        body = {"filter": asked, "attributes": ["userName"]}
        (found,) = directory.done("POST", "/Users/.search", body)["Resources"]
        assert found.keys() == {"schemas", "id", "userName"}
    for asked in (
        f'userName eq "{made["userName"]}" and active eq false',
        f'id eq "{made["id"]}" and externalId eq "{other["externalId"]}"',
        'userName eq "nobody@works.example"',
        f'externalId eq "{made["externalId"].upper()}"',
        'emails[type eq "home"].value eq "x@y.example"',
        'id eq "%"',
        'id eq "\' OR 1=1 --"',
    ):
        answer = directory.done("GET", "/Users", params={"filter": asked})
        assert (answer["totalResults"], answer["Resources"]) == (0, []), asked


@pytest.mark.parametrize(
    "asked",
    [
        "",
        " ",
        "userName",
        "userName eq",
        'userName co "x"',
        'userName sw "x"',
        "userName pr",
        'userName eq "x" or userName eq "y"',
        'not (userName eq "x")',
        '(userName eq "x")',
        'userName eq "x',
        'userName eq "x" and',
        "userName eq x",
        "userName eq 1",
        "userName eq null",
        "userName eq true",
        "active eq 1",
        'nickName eq "x"',
        'emails[type eq "work"',
        "emails[",
        'password eq "x"',
        'meta.lastModified gt "2011-05-13T04:42:34Z"',
        'userName eq "a" "b"',
        'a.b.c eq "x"',
        "(" * 500,
        'id eq "x" and ' * 200,
        "x" * 3000,
    ],
)
def test_a_filter_that_is_not_answered_is_refused(directory: Directory, asked: str) -> None:
    added(directory)
    why = directory.refused("GET", "/Users", params={"filter": asked})
    assert why == (400, "invalidFilter")
    assert directory.refused("POST", "/Users/.search", {"filter": asked}) == why


def test_lists_come_in_pages(directory: Directory) -> None:
    for _ in range(3):
        added(directory)
    whole = directory.done("GET", "/Users", params={"count": 200})
    total = whole["totalResults"]
    assert len(whole["Resources"]) == total
    two = directory.done("GET", "/Users", params={"startIndex": 2, "count": 2})
    assert [u["id"] for u in two["Resources"]] == [u["id"] for u in whole["Resources"][1:3]]
    assert (two["startIndex"], two["itemsPerPage"]) == (2, 2)
    bounds = ((1, 0, 0), (1, -1, 0), (total + 1, 5, 0), (-7, 1, 1), (2**31 - 1, 1, 0))
    for start, many, wanted in bounds:
        page = directory.done("GET", "/Users", params={"startIndex": start, "count": many})
        assert (page["totalResults"], len(page["Resources"])) == (total, wanted)
    large = directory.done("GET", "/Users", params={"count": 2**31 - 1})
    assert large["itemsPerPage"] == min(total, 200)
    assert directory.refused("GET", "/Users", params={"count": "many"})[0] == 400
    assert directory.refused("GET", "/Users", params={"startIndex": 2**40})[0] == 400
    # Entra ID has its own parameter in the address
    assert directory.done("GET", "/Users?aadOptscim062020&count=1")["itemsPerPage"] == 1


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({"attributes": "userName"}, {"userName"}),
        ({"attributes": "NAME.givenname"}, {"name"}),
        ({"attributes": f"{ENTERPRISE}:employeeNumber,active"}, {ENTERPRISE, "active"}),
        ({"attributes": f"urn:ietf:params:scim:schemas:core:2.0:User:title,{ENTERPRISE}"},
         {"title", ENTERPRISE}),
        ({"attributes": "emails.value"}, {"emails"}),
        ({"attributes": "nothing"}, set()),
        ({"excludedAttributes": f"name,emails,meta,id,{ENTERPRISE}"},
         {"userName", "externalId", "title", "active", "displayName"}),
        ({"excludedAttributes": f"name.familyName,emails.value,meta,title,{ENTERPRISE}:department"},
         {"userName", "externalId", "active", "displayName", "name", "emails", ENTERPRISE}),
    ],
)  # fmt: skip
def test_attributes_are_chosen(directory: Directory, asked: dict[str, str], left: set[str]) -> None:
    more = {ENTERPRISE: {"employeeNumber": fresh("G"), "department": "IT"}}
    made = added(directory, title="Porter", **more)
    found = directory.done("GET", f"/Users/{made['id']}", params=asked)
    assert found.keys() == {"schemas", "id"} | left
    if asked.get("attributes") == "NAME.givenname":
        assert found["name"] == {"givenName": "Lena"}
    if "name.familyName" in asked.get("excludedAttributes", ""):
        assert found["name"] == {"givenName": "Lena"}
        assert found["emails"] == [{"type": "work"}]
        assert found[ENTERPRISE].keys() == {"employeeNumber"}


def test_names_are_taken_once(directory: Directory) -> None:
    made = added(directory, **{ENTERPRISE: {"employeeNumber": fresh("H")}})
    body = {"userName": made["userName"].upper(), "externalId": fresh()}
    assert directory.refused("POST", "/Users", body) == (409, "uniqueness")
    body = {"userName": fresh(), "emails": made["emails"]}
    assert directory.refused("POST", "/Users", body) == (409, "uniqueness")
    body = {"userName": fresh(), ENTERPRISE: made[ENTERPRISE]}
    assert directory.refused("POST", "/Users", body) == (409, "uniqueness")
    before = directory.done("GET", "/Users", params={"count": 0})["totalResults"]
    other = added(directory)
    clash = patch(replace("title", "Boss"), replace("userName", made["userName"]))
    assert directory.refused("PATCH", f"/Users/{other['id']}", clash) == (409, "uniqueness")
    assert directory.person(other["id"])["position"] is None, "half of it was done"
    assert directory.done("GET", "/Users", params={"count": 0})["totalResults"] == before + 1


def test_who_has_read_an_older_version_overwrites_nobody(directory: Directory) -> None:
    made = added(directory)
    here, read = f"/Users/{made['id']}", {"If-Match": made["meta"]["version"]}
    known = {"If-None-Match": made["meta"]["version"]}
    assert directory.ask("GET", here, headers=known).status_code == 304
    directory.done("PATCH", here, patch(replace("title", "One")), headers=read)
    for method, body in (("PATCH", patch(replace("title", "Two"))), ("PUT", entra_user("x"))):
        assert directory.refused(method, here, body, headers=read)[0] == 412
    assert directory.refused("DELETE", here, headers=read)[0] == 412
    assert directory.refused("DELETE", here, headers={"If-Match": "nonsense"})[0] == 412
    assert directory.done("GET", here, headers=known)["title"] == "One"


def test_a_delete_is_the_erasure(directory: Directory) -> None:
    made = added(directory)
    person = directory.person(made["id"])
    answer = directory.ask("DELETE", f"/Users/{made['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert directory.admin.get(f"/api/persons/{person['id']}").status_code == 404
    (act,) = directory.admin.get("/api/audit", params={"limit": 1}).json()
    assert (act["kind"], act["body"]["person"]) == ("person_erased", made["id"])
    assert act["actor"]["name"] == "the-directory"
    for method in ("GET", "DELETE"):
        assert directory.refused(method, f"/Users/{made['id']}")[0] == 404
    again = directory.done("POST", "/Users", entra_user(made["externalId"]))
    assert again["id"] != made["id"]


def test_a_copy_of_everything_has_the_names_of_the_directory(directory: Directory) -> None:
    made = added(directory)
    id_ = directory.person(made["id"])["id"]
    answer = directory.admin.get(f"/api/persons/{id_}/export")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        told = json.loads(archive.read("person.json"))["directory"]
    assert (told["user_name"], told["external_id"]) == (made["userName"], made["externalId"])


def test_a_directory_that_erases_everybody_is_stopped(tmp_path: Path) -> None:
    with directory_of(tmp_path, erasures_an_hour=2) as directory:
        made = [added(directory)["id"] for _ in range(4)]
        for _ in range(3):
            assert directory.refused("DELETE", "/Users/nobody")[0] == 404, "nobody was erased"
        for uid in made[:2]:
            assert directory.ask("DELETE", f"/Users/{uid}").status_code == 204
        answer = directory.ask("DELETE", f"/Users/{made[2]}")
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 1000
        assert {p["uid"] for p in directory.admin.get("/api/persons").json()} == set(made[2:])
        assert directory.done("PATCH", f"/Users/{made[2]}", patch(replace("active", "False")))


def test_who_is_kept_by_law_passes_no_more(tmp_path: Path) -> None:
    with directory_of(tmp_path, hold_days=400) as directory:
        made = added(directory)
        id_ = directory.person(made["id"])["id"]
        yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        passed = {"person_id": id_, "direction": "entry", "reason": "forgotten",
                  "created_at": yesterday}  # fmt: skip
        assert directory.admin.post("/api/attendance", json=passed).status_code == 201
        status, _ = directory.refused("DELETE", f"/Users/{made['id']}")
        assert status == 409
        assert directory.person(made["id"])["is_active"] is False
