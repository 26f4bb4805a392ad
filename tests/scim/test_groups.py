"""Groups over SCIM: the access groups of the gate, filled and emptied as directories do it."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Server
from tests.scim.bodies import GROUP, entra_user, patch, replace
from tests.scim.conftest import Directory, directory_of

_NUMBERS = count(1)


def people(directory: Directory, many: int) -> list[str]:
    bodies = [entra_user(f"member{next(_NUMBERS)}") for _ in range(many)]
    return [directory.done("POST", "/Users", body)["id"] for body in bodies]


def grouped(directory: Directory, *members: str, **more: Any) -> dict[str, Any]:
    body = {
        "schemas": [GROUP],
        "displayName": f"Group {next(_NUMBERS)}",
        "members": [{"value": uid} for uid in members],
        **more,
    }
    return directory.done("POST", "/Groups", body)


def members(directory: Directory, group: dict[str, Any]) -> set[str]:
    """Whose members the people's API shows."""
    query = {"group": directory.done("GET", f"/Groups/{group['id']}")["displayName"]}
    return {p["uid"] for p in directory.admin.get("/api/persons", params=query).json()}


def test_a_group_has_the_members_that_the_directory_names(directory: Directory) -> None:
    one, two = people(directory, 2)
    made = grouped(directory, one, externalId="8aa1a0c0")
    assert made["externalId"] == "8aa1a0c0"
    assert [m["value"] for m in made["members"]] == [one]
    assert made["members"][0]["$ref"].endswith(f"/scim/v2/Users/{one}")
    assert members(directory, made) == {one}
    shown = directory.done("GET", f"/Users/{one}")["groups"]
    assert [(g["value"], g["display"]) for g in shown] == [(made["id"], made["displayName"])]
    acts = directory.admin.get("/api/audit", params={"limit": 2}).json()
    assert [a["kind"] for a in acts] == ["group_joined", "group_created"]
    body = {"displayName": made["displayName"], "members": [{"value": two}]}
    after = directory.done("PUT", f"/Groups/{made['id']}", body)
    assert [m["value"] for m in after["members"]] == [two]
    assert "externalId" not in after
    assert directory.ask("DELETE", f"/Groups/{made['id']}").status_code == 204
    assert directory.refused("GET", f"/Groups/{made['id']}")[0] == 404
    assert directory.person(two)["is_active"] is True, "its members stay"


@pytest.mark.parametrize(
    ("operations", "wanted"),
    [
        ([{"op": "Add", "path": "members", "value": [{"value": "{2}"}]}], "012"),
        ([{"op": "Add", "path": "members", "value": [{"$ref": None, "value": "{2}"}]}], "012"),
        ([{"op": "add", "path": "members", "value": [{"value": "{0}", "display": "x"}]}], "01"),
        ([{"op": "add", "value": {"members": [{"value": "{2}"}]}}], "012"),
        ([{"op": "Remove", "path": "members", "value": [{"value": "{0}"}]}], "1"),
        ([{"op": "remove", "path": 'members[value eq "{0}"]'}], "1"),
        ([{"op": "remove", "path": 'members[value eq "{2}"]'}], "01"),
        ([{"op": "remove", "path": "members"}], ""),
        ([{"op": "replace", "path": "members", "value": [{"value": "{2}"}]}], "2"),
        ([{"op": "replace", "path": "members", "value": []}], ""),
        ([{"op": "remove", "path": 'members[value eq "{0}"]'},
          {"op": "add", "path": "members", "value": [{"value": "{2}"}]}], "12"),
    ],
    ids=["Entra adds", "old Entra adds", "once more", "without a path", "Entra removes",
         "Okta removes", "who is no member", "all", "others instead", "nobody instead",
         "one goes and one comes"],
)  # fmt: skip
def test_members_come_and_go(
    directory: Directory, operations: list[dict[str, Any]], wanted: str
) -> None:
    there = people(directory, 3)

    def with_ids(given: Any) -> Any:
        if isinstance(given, dict):
            return {key: with_ids(value) for key, value in given.items()}
        if isinstance(given, list):
            return [with_ids(value) for value in given]
        for number, uid in enumerate(there):
            given = given.replace(f"{{{number}}}", uid) if isinstance(given, str) else given
        return given

    made = grouped(directory, *there[:2])
    after = directory.done("PATCH", f"/Groups/{made['id']}", patch(*with_ids(operations)))
    assert {m["value"] for m in after.get("members", ())} == {there[int(n)] for n in wanted}
    assert members(directory, made) == {there[int(n)] for n in wanted}
    assert after["displayName"] == made["displayName"]


def test_a_group_is_renamed_and_keeps_members_and_rules(directory: Directory) -> None:
    (one,) = people(directory, 1)
    made = grouped(directory, one)
    own = {"description": "of the works", "planned_hours": 40}
    (row,) = [g for g in directory.admin.get("/api/groups").json() if g["uid"] == made["id"]]
    assert directory.admin.put(f"/api/groups/{row['id']}", json=own).status_code == 200
    name = f"Renamed {next(_NUMBERS)}"
    # Okta sends the id along
    operation = {"op": "replace", "value": {"id": made["id"], "displayName": name}}
    directory.done("PATCH", f"/Groups/{made['id']}", patch(operation))
    after = directory.admin.get(f"/api/groups/{row['id']}").json()
    assert (after["name"], after["description"], after["planned_hours"]) == (name, *own.values())
    assert members(directory, made) == {one}


def test_groups_are_found_and_listed_without_their_members(directory: Directory) -> None:
    (one,) = people(directory, 1)
    made = grouped(directory, one, externalId=f"g-{next(_NUMBERS)}")
    for asked in (
        f'displayName eq "{made["displayName"].upper()}"',
        f'externalId eq "{made["externalId"]}"',
        f'id eq "{made["id"]}" and members eq "{one}"',
        f'members[value eq "{one}"]',
    ):
        query = {"filter": asked, "excludedAttributes": "members"}
        (found,) = directory.done("GET", "/Groups", params=query)["Resources"]
        assert found["id"] == made["id"], asked
        assert "members" not in found
    for asked in ('displayName co "Group"', 'members.display eq "x"', "active eq true"):
        query = {"filter": asked}
        assert directory.refused("GET", "/Groups", params=query) == (400, "invalidFilter")


def test_a_group_that_does_not_fit_is_refused_whole(directory: Directory) -> None:
    (one,) = people(directory, 1)
    made = grouped(directory, one)
    before = directory.admin.get("/api/groups").json()
    for body in (
        {},
        {"displayName": " "},
        {"displayName": "x" * 201},
        {"displayName": "New", "members": [{"value": one}, {"value": "nobody"}]},
        {"displayName": "New", "members": [{}]},
        {"displayName": "New", "members": [7]},
    ):
        assert directory.refused("POST", "/Groups", body) == (400, "invalidValue"), body
    taken = {"displayName": made["displayName"].upper()}
    assert directory.refused("POST", "/Groups", taken) == (409, "uniqueness")
    here = f"/Groups/{made['id']}"
    nobody = patch({"op": "add", "path": "members", "value": [{"value": "nobody"}]})
    assert directory.refused("PATCH", here, nobody) == (400, "invalidValue")
    stale = {"If-Match": 'W/"0"'}
    rename = patch(replace("displayName", "X"))
    assert directory.refused("PATCH", here, rename, headers=stale)[0] == 412
    assert directory.refused("DELETE", here, headers=stale)[0] == 412
    assert directory.admin.get("/api/groups").json() == before


def test_the_version_of_a_group_is_that_of_its_members(directory: Directory) -> None:
    one, two = people(directory, 2)
    made = grouped(directory, one)
    known = {"If-None-Match": made["meta"]["version"]}
    assert directory.ask("GET", f"/Groups/{made['id']}", headers=known).status_code == 304
    add = patch({"op": "add", "path": "members", "value": [{"value": two}]})
    directory.done("PATCH", f"/Groups/{made['id']}", add)
    assert directory.ask("GET", f"/Groups/{made['id']}", headers=known).status_code == 200


def test_many_members_at_once_on_a_hub(tmp_path: Path, postgresql: Server) -> None:
    with directory_of(tmp_path, hub=True, url=postgresql.migrated()) as directory:
        there = people(directory, 110)
        made = grouped(directory, *there)
        assert members(directory, made) == set(there)
        after = directory.done("PUT", f"/Groups/{made['id']}", {"displayName": "Nobody"})
        assert "members" not in after
