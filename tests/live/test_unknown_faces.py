"""Strangers of whom pictures are kept: put together by face, named, set aside, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.core.values import Reason
from gated.devices.clock import ManualClock
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.live import snapshot_store
from gated.live.unknown_faces import (
    MARKED,
    UNDO_S,
    DeletedFaces,
    Strangers,
    UnknownFaces,
)
from gated.workspace import Workspace
from tests.assets import require_assets
from tests.enrollment.offices import kinds, portrait
from tests.fixtures.server import Running, running

STRANGERS = ("obama2", "biden", "obama3")
"""Portraits of two people, as the gate took them, oldest first."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    require_assets("default")
    folder, roles = tmp_path_factory.mktemp("state"), ("operator", "admin")
    with running(folder, roles=roles, strangers_days=3) as server:
        yield server


def took(workspace: Workspace, names: tuple[str, ...] = STRANGERS) -> list[int]:
    """Store portraits as pictures that the gate took; their ids."""
    made = []
    for name in names:
        path = workspace.files.save_image(portrait(name))
        with workspace.database.write() as session:
            snapshot_store.add(
                session,
                person_id=None,
                reason=Reason.NO_MATCH.value,
                gate_name=workspace.settings.gate.name,
                visit=1,
                pad=None,
                path=path,
                taken_at=datetime.now(UTC),
            )
            made.append(snapshot_store.list_(session, 1)[0].id)
    return made


def looked(client: httpx.Client) -> dict[int, dict[str, Any]]:
    """What is told of each picture, once all were looked at."""
    while True:
        told = client.get("/api/gate/unknown-faces").raise_for_status().json()
        if not told["waiting"]:
            return {face["id"]: face for face in told["faces"]}


def resembling(client: httpx.Client) -> dict[str, list[tuple[int, str]]]:
    """Whom the strangers resemble, and how much, by group."""
    told = client.get("/api/gate/unknown-faces").raise_for_status().json()
    return {
        one["group"]: [(person["id"], person["likeness"]) for person in one["people"]]
        for one in told["resembling"]
    }


def done(client: httpx.Client, act: str, *ids: int) -> int:
    answer = client.post("/api/gate/unknown-faces", json={"ids": ids, "act": act})
    return answer.status_code


def test_strangers_are_put_together_by_face_set_aside_and_named(server: Running) -> None:
    workspace = server.services.workspace
    first, other, again = took(workspace)
    with server.client("admin") as client, server.client("operator") as operator:
        faces = looked(client)
        assert faces[first]["group"] == faces[again]["group"] != faces[other]["group"]
        assert [f["problem"] for f in faces.values()] == [None] * 3
        assert operator.get("/api/gate/unknown-faces").status_code == 403

        assert done(client, "merge", first, other) == 204
        assert len({f["group"] for f in looked(client).values()}) == 1
        assert done(client, "split", other) == 204
        assert len({f["group"] for f in looked(client).values()}) == 2
        # taken back is the last merging alone; and no picture holds the others together
        older, beside = took(workspace, ("biden", "obama"))
        assert (
            done(client, "merge", older, other)
            == done(client, "merge", beside, older, other)
            == 204
        )
        assert len({f["group"] for f in looked(client).values()}) == 1
        assert done(client, "unmerge", beside, older, other) == 204
        found = {id_: face["group"] for id_, face in looked(client).items()}
        assert found[older] == found[other] != found[beside] == found[first]
        assert done(client, "merge", older, other, beside) == 204
        with workspace.database.write() as session:
            snapshot_store.delete(session, [older])
        found = {id_: face["group"] for id_, face in looked(client).items()}
        assert found[other] == found[beside]
        with workspace.database.write() as session:
            snapshot_store.delete(session, [beside])
        assert done(client, "split", other) == 204
        assert done(client, "ignore", other) == 204
        assert [i for i, f in looked(client).items() if f["ignored"]] == [other]
        assert done(client, "restore", other) == 204
        assert not any(f["ignored"] for f in looked(client).values())
        assert done(client, "delete", first, 10**9) == 404
        assert not any(f["deleted_at"] for f in looked(client).values())

        small = operator.get(f"/api/gate/snapshots/{first}/thumbnail")
        assert small.content.startswith(b"\xff\xd8")
        operator.get(f"/api/gate/snapshots/{other}/thumbnail")
        assert kinds(workspace).count("snapshots_browsed") == 1

        fields = {"first_name": "B", "last_name": "O", "personnel_code": "B-44"}
        person = client.post("/api/persons", json=fields).json()["id"]
        body = {"ids": [again, first], "person_id": person}
        named = client.post("/api/gate/unknown-faces/name", json=body).raise_for_status().json()
        assert (named["enrolled"], named["refused"]) == (2, [])
        assert len(client.get(f"/api/persons/{person}").json()["enrollments"]) == 2
        gone = {i for i, f in looked(client).items() if f["deleted_at"]}
        assert gone == {first, again}

        # the same face for somebody else is refused as any photo is, and stays
        fields["personnel_code"] = "X-1"
        someone = client.post("/api/persons", json=fields).json()["id"]
        body["person_id"] = someone
        refused = client.post("/api/gate/unknown-faces/name", json=body).json()
        assert refused["enrolled"] == 0
        assert [r["code"] for r in refused["refused"]] == ["duplicate_face"]

        clock = ManualClock(utc=workspace.clock.now().utc)
        DeletedFaces(workspace, clock).purge()
        assert set(looked(client)) == {first, other, again}
        clock.advance(UNDO_S + 1)
        DeletedFaces(workspace, clock).purge()
        assert set(looked(client)) == {other}

        # who comes again looks much like the photos, which are named beside; the other does not
        (later,) = took(workspace, ("obama",))
        group = looked(client)[later]["group"]
        assert resembling(client) == {group: [(person, "strong")]}
        assert done(client, "ignore", later) == 204
        assert resembling(client) == {}
    files = set(Path(workspace.files.uploads, "images").iterdir())
    with workspace.database.read() as session:
        kept = snapshot_store.newest(session, Reason.NO_MATCH, MARKED)
    # and the photos of the person, and the two pictures whose rows alone were deleted above
    assert len(files) == len(kept) + 2 + 2


def test_nothing_is_shown_where_no_strangers_are_kept(workspace: Workspace) -> None:
    took(workspace, ("biden",))
    faces = UnknownFaces(workspace, ManualClock(), EnrollmentQueue(workspace))
    assert (faces.kept, faces.list_()) == (False, Strangers())
