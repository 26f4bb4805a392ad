"""The running gate for its clients: pictures, events, the door, enrollment by camera."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from gated.core.messages import Attention, Event, Notice, Observation, OperatorUnlock
from gated.core.values import Box, Face, Image, Quality, TrackedFace
from gated.errors import DeviceError
from gated.link.running_gate import PREVIEWS_EACH, FrameTap, RunningGate
from gated.link.status_board import DecisionView, EventView
from gated.live.preview import Shot, preview
from gated.ports import Frame
from gated.vision.decoding import decode
from tests.assets import require_assets
from tests.devices.waiting import eventually
from tests.enrollment.test_enrollment_api import journal, person, stored
from tests.fixtures.server import Running, running


@dataclass
class Camera:
    """Shows the same pictures again and again to those who look through the gate's camera."""

    pictures: list[Image]
    faces: tuple[TrackedFace, ...] = ()
    tap: FrameTap = field(default_factory=lambda: FrameTap(most=2))

    @contextmanager
    def on(self) -> Iterator[None]:
        done = threading.Event()

        def run() -> None:
            show = self.tap.tapped(lambda f, _: Observation(f.number, 0.0, 1, 1, self.faces))
            number = 0
            while not done.wait(0.02):
                number += 1
                picture = self.pictures[number % len(self.pictures)]
                show(Frame(picture, 0.0, number), Attention())

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(20)


@dataclass
class Gate:
    """A server with a camera and a letter box."""

    running: Running
    camera: Camera
    posted: list[Event]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    camera, posted = Camera([np.full((120, 160, 3), 90, np.uint8)]), list[Event]()
    live = RunningGate(camera.tap, posted.append)
    roles = ("viewer", "operator", "device")
    with running(tmp_path, roles=roles, live=live) as server, camera.on():
        yield Gate(server, camera, posted)


@pytest.fixture
def client(gate: Gate) -> Iterator[httpx.Client]:
    with gate.running.client("operator") as client:
        yield client


def told(answer: httpx.Response) -> Iterator[tuple[str, Any, str | None]]:
    """(kind, data, id) of each server-sent event."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields["event"], json.loads(fields["data"]), fields.get("id")
            fields = {}


# --- the door ---------------------------------------------------------------------------------


def test_an_operator_opens_and_says_why(gate: Gate, client: httpx.Client) -> None:
    answer = client.post("/api/gate/open", json={"reason": "parcel", "for_s": 1000 / 3})
    assert answer.status_code == 202, answer.text
    most = gate.running.services.settings.door.max_unlock_s
    assert answer.json() == {"for_s": most}
    assert gate.posted == [OperatorUnlock("the-operator", "parcel", most)]
    assert client.post("/api/gate/open", json={"reason": " "}).status_code == 422
    assert client.post("/api/gate/open", json={"reason": "x", "for_s": -1}).status_code == 422


def test_nothing_is_opened_that_cannot_be_recorded(gate: Gate, client: httpx.Client) -> None:
    gate.running.services.board.publish(journal="unavailable")
    assert client.post("/api/gate/open", json={"reason": "parcel"}).status_code == 503
    assert gate.posted == []


@pytest.mark.parametrize("path", ["open", "snapshot", "preview", "events"])
def test_a_hub_has_no_gate(gate: Gate, client: httpx.Client, path: str) -> None:
    object.__setattr__(gate.running.services, "live", None)
    body = {"json": {"reason": "x"}} if path == "open" else {}
    answer = client.request("POST" if body else "GET", f"/api/gate/{path}", **body)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (409, "no_gate")


# --- pictures ---------------------------------------------------------------------------------


def test_a_snapshot_shows_the_faces_and_is_journaled(gate: Gate, client: httpx.Client) -> None:
    face = Face(Box(40, 30, 60, 60), np.zeros((5, 2), np.float32), 0.9)
    quality = Quality(0.9, 30.0, 0.0, 0.0, 0.0, 1.0, 90.0, 1.0, 1.0)
    gate.camera.faces = (TrackedFace(1, face, quality),)
    answer = client.get("/api/gate/snapshot")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Cache-Control"] == "no-store"
    picture = decode(answer.content)
    assert picture.shape == (120, 160, 3)
    assert np.abs(picture[40:80, 50:90].astype(int) - 90).max() < 20, "inside the box"
    assert picture[60, 40, 1] > 150, "on its edge"
    ((_, actor),) = journal(gate.running, "camera_snapshot")
    assert actor["name"] == "the-operator"


def test_nobody_looks_and_nothing_is_done(gate: Gate, client: httpx.Client) -> None:
    class Untouchable:
        def copy(self) -> Image:
            raise AssertionError("nobody looks")

    seen = Observation(1, 0.0, 1, 1)
    show = FrameTap().tapped(lambda _f, _a: seen)
    assert show(Frame(Untouchable(), 0.0, 1), Attention()) is seen  # type: ignore[arg-type]


def test_the_preview_is_for_a_few(gate: Gate, client: httpx.Client) -> None:
    tap = gate.camera.tap
    with client.stream("GET", "/api/gate/preview") as first:
        assert first.status_code == 200
        assert first.headers["Content-Type"].startswith("multipart/x-mixed-replace")
        parts = first.iter_bytes()
        data = b""
        while data.count(b"--frame\r\n") < 3:
            data += next(parts)
        head, _, rest = data.partition(b"\r\n\r\n")
        size = int(head.rpartition(b"Content-Length: ")[2])
        assert decode(rest[:size]).shape == (120, 160, 3)
        with tap.subscribe():
            refused = client.get("/api/gate/snapshot")
            assert (refused.status_code, refused.json()["code"]) == (503, "busy")
            assert "Retry-After" in refused.headers
    assert len(journal(gate.running, "camera_preview")) == 1
    for _ in range(100):  # the server hears of the end when it writes the next picture
        if client.get("/api/gate/snapshot").status_code == 200 and not tap._subscribers:
            break
        threading.Event().wait(0.05)
    assert not tap._subscribers


def test_a_camera_that_is_lost_keeps_no_place(gate: Gate, client: httpx.Client) -> None:
    """A client that has gone is only noticed with the next picture."""
    lost = Camera(gate.camera.pictures)
    live, workspace = RunningGate(lost.tap, gate.posted.append), gate.running.services.workspace

    def look() -> Iterator[Shot]:
        return preview(workspace, live, 1, actor="the-operator", within_s=0.2)

    for _ in range(2 * PREVIEWS_EACH):
        with pytest.raises(DeviceError, match="no picture came"):
            next(look())
    assert journal(gate.running, "camera_preview") == [], "nobody has seen anything"
    with lost.on():
        shots = look()
        assert decode(next(shots).jpeg).shape == (120, 160, 3)
    for _ in shots:  # ends by itself
        pass
    assert not lost.tap.watched


# --- events -----------------------------------------------------------------------------------


def decision(visit: int) -> DecisionView:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    return DecisionView(
        at, "denied", "no_match", None, 0.1, "entry", "face", 3, None, visit, (), 10.0, None
    )


def test_what_the_person_is_told_comes_too_and_is_not_kept(gate: Gate) -> None:
    board = gate.running.services.board
    with (
        gate.running.client("viewer") as viewer,
        viewer.stream("GET", "/api/gate/events") as answer,
    ):
        events = told(answer)
        while not board.listening:
            threading.Event().wait(0.01)
        board.add_notice(Notice(7, "turn_left", "", 1, 2, 8.5))
        board.add_decision(decision(1))
        kind, data, id_ = next(events)
        assert (kind, id_) == ("notice", None)
        shown = {"track_id": 7, "code": "turn_left", "detail": ""}
        assert data == {**shown, "done": 1, "steps": 2, "seconds_left": 8.5}
        assert next(events)[0] == "decision"


def test_events_come_as_they_happen_and_go_on_where_they_ended(gate: Gate) -> None:
    board = gate.running.services.board
    board.add_decision(decision(1))
    with gate.running.client("viewer") as viewer:
        with viewer.stream("GET", "/api/gate/events") as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            events = told(answer)
            while not board.listening:
                threading.Event().wait(0.01)
            board.add_decision(decision(2))
            kind, data, id_ = next(events)
            assert (kind, data["visit"], data["reason"]) == ("decision", 2, "no_match")
        board.add_decision(decision(3))
        board.add_decision(decision(4))
        with viewer.stream("GET", "/api/gate/events", headers={"Last-Event-ID": id_ or ""}) as on:
            events = told(on)
            assert [next(events)[1]["visit"] for _ in range(2)] == [3, 4]
            board.add_decision(decision(5))
            assert next(events)[1]["visit"] == 5


def test_the_screen_hears_that_the_gate_is_there_also_while_nothing_for_it_comes(
    gate: Gate,
) -> None:
    board = gate.running.services.board
    with (
        gate.running.client("device") as screen,
        screen.stream("GET", "/api/kiosk/events") as answer,
    ):
        said = (line for line in answer.iter_lines() if line and not line.startswith("data"))
        assert next(said) == "event: state"
        assert eventually(lambda: board.listening == 1)
        board.add_event(EventView(datetime.now(UTC), "lens_covered", "info", {}))
        assert next(said) == "event: alive"


def test_events_are_told_among_the_decisions(gate: Gate) -> None:
    board = gate.running.services.board
    with (
        gate.running.client("viewer") as viewer,
        viewer.stream("GET", "/api/gate/events") as answer,
    ):
        events = told(answer)
        assert eventually(lambda: board.listening == 1)
        board.add_event(EventView(datetime.now(UTC), "door_forced", "alarm", {"detail": ""}))
        board.add_decision(decision(1))
        kind, data, id_ = next(events)
        assert (kind, data["kind"], data["severity"]) == ("event", "door_forced", "alarm")
        assert id_ is not None
        assert id_.endswith("-1")
        assert next(events)[0] == "decision"


def test_what_was_missed_is_told(gate: Gate) -> None:
    board = gate.running.services.board
    for visit in range(1, 61):
        board.add_decision(decision(visit))
    started = board.snapshot().started_at.timestamp()
    for last in (f"{started:.6f}-3", "1.000000-7", "nonsense"):
        with (
            gate.running.client("viewer") as viewer,
            viewer.stream("GET", "/api/gate/events", headers={"Last-Event-ID": last}) as answer,
        ):
            events = told(answer)
            assert next(events)[0] == "missed", last
            assert next(events)[1]["visit"] == 11


# --- enrollment by the camera -----------------------------------------------------------------


def frames_of(name: str) -> list[Image]:
    """A portrait as the gate's camera would show it, a little different each time."""
    image = decode(require_assets("default", "demo").read(name))
    return [np.ascontiguousarray(image[:, shift:]) for shift in (0, 2, 4)]


def test_the_camera_guides_and_enrolls_the_best_frame(gate: Gate, client: httpx.Client) -> None:
    pictures, portrait = gate.camera.pictures, frames_of("obama.jpg")
    who = person(client, "A")
    seen = []
    with client.stream("POST", "/api/enrollment/capture", json={"person_id": who}) as answer:
        assert answer.status_code == 200
        for kind, data, _ in told(answer):
            seen.append((kind, data.get("code")))
            if seen[-1] == ("guidance", "no_face"):
                pictures[:] = portrait
    assert seen[0] == ("started", None)
    assert seen[1] == ("guidance", "no_face")
    assert seen.count(("guidance", "hold_still")) == 5
    assert seen[-1] == ("enrolled", None)
    assert data["person_id"] == who
    assert data["photo_advice"]["reason"] == "one_photo"
    assert len(stored(gate.running)) == 2
    assert [e["id"] for e in client.get("/api/enrollment").json()] == [data["id"]]


def test_another_person_stepping_in_is_refused(gate: Gate, client: httpx.Client) -> None:
    gate.camera.pictures[:] = [frames_of("obama.jpg")[0]]
    who = person(client, "A")
    last = None
    with client.stream("POST", "/api/enrollment/capture", json={"person_id": who}) as answer:
        for kind, data, _ in told(answer):
            last = kind, data.get("code")
            if last == ("guidance", "hold_still"):
                gate.camera.pictures[:] = [frames_of("biden.jpg")[0]]
    assert last == ("refused", "not_same_person")
    assert stored(gate.running) == []
    assert not gate.camera.tap._subscribers


def test_one_is_enrolled_at_a_time_and_only_who_is_known(gate: Gate, client: httpx.Client) -> None:
    require_assets("default")
    assert client.post("/api/enrollment/capture", json={"person_id": 9}).status_code == 404
    who = person(client, "A")
    live = gate.running.services.running_gate()
    with live.capture():
        busy = client.post("/api/enrollment/capture", json={"person_id": who})
        assert (busy.status_code, busy.json()["code"]) == (503, "busy")
    forbidden = {"person_id": who, "override": "twins"}
    assert client.post("/api/enrollment/capture", json=forbidden).status_code == 403
