"""Messages between the processes: the same on both sides, bounded, and nothing else gets in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gated.core.messages import (
    AlarmsAcknowledged,
    CredentialPresented,
    Event,
    Forgive,
    GalleryReplaced,
    LastPunches,
    Notice,
    Noticed,
    OperatorUnlock,
    PresenceHeard,
    RemotePassage,
    RemotePresence,
    ResetFire,
    SetDoorMode,
    Silenced,
    Tick,
)
from gated.core.presence import Presence
from gated.core.values import Box, Direction, DoorMode, Face, Method, PersonRef
from gated.fleet.gate.remote_presence import in_parts
from gated.link import messages as m
from gated.link.status_board import DecisionView, EventView
from gated.link.wire import HEADER, UNKNOWN_BYTES, VERSION, Packet, Unpacker, WireError, packed

ANY = {**m.DOOR_TAKES, **m.SERVICE_TAKES}

texts = st.text(max_size=40)
numbers = st.integers(-(2**53), 2**53)
reals = st.floats(allow_nan=False, allow_infinity=False)
persons = st.builds(PersonRef, numbers, texts, texts, texts)
directions = st.sampled_from(Direction)
times = st.datetimes(timezones=st.just(UTC))
forgiven = st.dictionaries(st.none() | numbers, reals, max_size=3)
passages = st.none() | st.tuples(directions, reals)

events: st.SearchStrategy[Event] = st.one_of(
    st.builds(OperatorUnlock, texts, texts, st.none() | reals),
    st.builds(SetDoorMode, st.sampled_from(DoorMode), texts, texts, st.none() | reals),
    st.builds(ResetFire, texts, texts),
    st.builds(Silenced, texts),
    st.builds(AlarmsAcknowledged, texts),
    st.builds(Forgive, st.none() | persons, texts, texts),
    st.builds(CredentialPresented, st.sampled_from(Method), st.none() | numbers),
    st.builds(Noticed, texts, st.sampled_from(("info", "alarm")), st.dictionaries(texts, numbers)),
    st.builds(PresenceHeard, st.booleans()),
    st.builds(
        LastPunches, st.dictionaries(numbers, passages, max_size=3), st.none() | reals, forgiven
    ),
    st.builds(
        RemotePresence,
        st.dictionaries(
            numbers, st.builds(RemotePassage, numbers, st.none() | directions, reals, texts)
        ),
        forgiven,
        st.none() | numbers,
        st.booleans(),
        st.integers(0, 300),
        st.booleans(),
    ),
)
views = st.builds(EventView, times, texts, st.sampled_from(("info", "warning")), st.just({}))
decisions = st.builds(
    DecisionView,
    at=times, outcome=texts, reason=texts, person=st.none() | persons, confidence=reals,
    direction=texts, method=texts, frames=numbers, pad=st.none() | reals, visit=numbers,
    flags=st.lists(texts, max_size=2).map(tuple), decided_after_ms=st.none() | reals,
    relay_after_ms=st.none() | reals, number=numbers,
)  # fmt: skip
messages: st.SearchStrategy[m.Message] = st.one_of(
    st.builds(m.Hello, numbers),
    st.builds(m.Ask, numbers, events, st.none() | reals),
    st.builds(
        m.Report, st.none() | texts, st.none() | texts, st.booleans(),
        troubles=st.dictionaries(texts, texts, max_size=3),
    ),
    st.builds(m.WantFrame, numbers),
    st.builds(
        m.Welcome, numbers, times, st.none() | texts, st.tuples(decisions), st.tuples(views)
    ),
    st.builds(m.Status, st.dictionaries(texts, numbers | texts, max_size=3)),
    st.builds(m.BoardItem, decision=decisions),
    st.builds(m.BoardItem, event=views),
    st.builds(m.BoardItem, notice=st.builds(Notice, st.none() | numbers, texts)),
    st.builds(m.Answer, numbers, st.none() | texts, texts, st.none() | reals),
)  # fmt: skip


@settings(max_examples=50)
@given(sent=st.lists(messages, min_size=1, max_size=4), cuts=st.lists(st.integers(1, 400)))
def test_what_is_sent_arrives_however_it_is_cut(sent: list[m.Message], cuts: list[int]) -> None:
    raw, unpacker, came = b"".join(map(m.encode, sent)), Unpacker(ANY), []
    for size in [*cuts, len(raw)]:
        came += [m.decode(packet) for packet in unpacker.feed(raw[:size])]
        raw = raw[size:]
    assert came == sent
    assert unpacker.waiting == 0


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=200), max_size=6))
def test_noise_is_refused_and_never_kept(noise: list[bytes]) -> None:
    unpacker = Unpacker(m.DOOR_TAKES)
    most = HEADER.size + max(sum(sizes) for sizes in m.DOOR_TAKES.values())
    try:
        for chunk in noise:
            for packet in unpacker.feed(chunk):
                with pytest.raises(m.RefusedMessage):
                    m.decode(packet)
            assert unpacker.waiting <= most
    except WireError:
        pass


@settings(max_examples=50)
@given(kind=st.sampled_from(sorted(m.TO_DOOR)), body=st.binary(max_size=60))
def test_a_body_that_does_not_fit_is_refused_without_repeating_it(kind: int, body: bytes) -> None:
    secret = b"secret" + body
    with pytest.raises(m.RefusedMessage) as refusal:
        m.decode(Packet(kind, secret))
    assert "secret" not in str(refusal.value)


@settings(max_examples=50)
@given(
    message=messages,
    value=st.none() | st.booleans() | numbers | texts | st.lists(st.none(), max_size=2),
    data=st.data(),
)
def test_a_field_of_another_type_is_refused_or_understood(
    message: m.Message, value: object, data: st.DataObject
) -> None:
    (packet,) = Unpacker(ANY).feed(m.encode(message))
    body = json.loads(packet.body)
    body[data.draw(st.sampled_from([*body, "another"]))] = value
    try:
        again = m.decode(Packet(packet.kind, json.dumps(body).encode()))
    except m.RefusedMessage:
        return
    assert type(again) is type(message)


@pytest.mark.parametrize("name", ["another", "gallery", "tick", ""])
def test_an_event_that_a_service_does_not_send_is_unknown(name: str) -> None:
    body = json.dumps({"number": 1, "event": name, "body": {}}).encode()
    with pytest.raises(m.RefusedMessage) as refusal:
        m.decode(Packet(2, body))
    assert refusal.value.code == "unknown_event"


@pytest.mark.parametrize("event", [Tick(), GalleryReplaced(None)])  # type: ignore[arg-type]
def test_what_the_gate_notices_itself_does_not_travel(event: Event) -> None:
    with pytest.raises(m.RefusedMessage):
        m.encode(m.Ask(1, event))


def test_a_field_that_nobody_knows_is_refused() -> None:
    body = {"actor": "olga", "cause": "visit", "for_s": 3, "and": 1}
    ask = {"number": 1, "event": "unlock", "body": body}
    with pytest.raises(m.RefusedMessage, match="1 fields"):
        m.decode(Packet(2, json.dumps(ask).encode()))
    with pytest.raises(m.RefusedMessage, match="unexpected"):
        m.decode(Packet(1, b'{"process": 1, "another": 2}'))


def test_a_short_message_of_an_unknown_kind_is_read_over() -> None:
    unpacker = Unpacker(m.DOOR_TAKES)
    raw = packed(200, b"x" * 100) + m.encode(m.Hello(7))
    first, second = unpacker.feed(raw)
    assert not first.known
    with pytest.raises(m.RefusedMessage, match="kind 200"):
        m.decode(first)
    assert m.decode(second) == m.Hello(7)


@pytest.mark.parametrize(
    ("version", "kind", "body", "picture"),
    [
        (VERSION + 1, 1, 0, 0),
        (VERSION, 200, UNKNOWN_BYTES, 1),
        (VERSION, 1, m.DOOR_TAKES[1][0] + 1, 0),
        (VERSION, 1, 0, 1),
        (VERSION, 65, 0, 0xFFFFFFFF),
        (VERSION, 2, 0xFFFFFFFF, 0),
    ],
)
def test_a_length_is_refused_before_anything_of_it_is_kept(
    version: int, kind: int, body: int, picture: int
) -> None:
    with pytest.raises(WireError):
        list(Unpacker(m.DOOR_TAKES).feed(HEADER.pack(version, kind, body, picture)))


def test_a_message_that_the_other_side_would_not_take_is_not_sent() -> None:
    with pytest.raises(m.RefusedMessage, match="BoardItem"):
        m.encode(m.BoardItem(event=EventView(datetime.now(UTC), "x", "info", {"a": "b" * 70_000})))
    with pytest.raises(m.RefusedMessage) as refusal:
        m.encode(m.Status({"a": object()}))
    assert refusal.value.code == "unencodable"


def test_a_frame_arrives_as_it_was_with_its_faces() -> None:
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    landmarks = np.arange(10, dtype=np.float32).reshape(5, 2)
    face = Face(Box(1.0, 2.0, 3.0, 4.0), landmarks, 0.75)
    shape = m.shape_of(image, (face,), 9, True)
    assert shape is not None
    (packet,) = Unpacker(m.SERVICE_TAKES).feed(m.encode(shape) + image.tobytes())
    came = m.decode(packet)
    assert came == shape
    assert isinstance(came, m.FrameShape)
    assert np.array_equal(m.image_of(came, packet.picture), image)
    (again,) = m.faces_of(came)
    assert (again.box, again.score) == (face.box, face.score)
    assert np.array_equal(again.landmarks, landmarks)


@pytest.mark.parametrize(
    "shape",
    [
        m.FrameShape(1, 4, 7),
        m.FrameShape(1, 0, 6),
        m.FrameShape(1, -4, -6),
        m.FrameShape(1, 4, 6, (m.FaceBox((0, 0, 1, 1), (1.0,), 0.5),)),
        m.FrameShape(1, 4, 6, (m.FaceBox((0, 0, 1, 1), (1.0,) * 10, 0.5),) * 65),
    ],
)
def test_a_frame_that_is_none_is_refused(shape: m.FrameShape) -> None:
    body = m.encode(shape)[HEADER.size :]
    with pytest.raises(m.RefusedMessage):
        m.decode(Packet(69, body, b"\0" * 72))


def test_a_frame_that_is_too_large_is_not_shown() -> None:
    assert m.shape_of(np.zeros((1, 9000, 3), np.uint8), (), 1, False) is None


def test_the_passages_of_a_large_site_fit_into_messages_in_parts() -> None:
    """Of 200,000 people, by gates with the longest names: as one message they were refused."""
    name = "\U0001f6aa" * 100
    passed = {n: RemotePassage(n, Direction.ENTRY, 1.8e9 + n / 3, name) for n in range(200_000)}
    report = RemotePresence(passed, dict.fromkeys(range(0, 200000, 2), 1800000000.0), 3, True)
    parts = list(in_parts(report))
    longest, _ = m.DOOR_TAKES[2]
    assert all(len(m.encode(m.Ask(1, part, 5.0))) < longest for part in parts)
    presence, whole = Presence(), Presence()
    for part in parts:
        presence.apply_remote(part, 2e9)
    whole.apply_remote(report, 2e9)
    assert presence == whole
    assert list(in_parts(RemotePresence(others=3))) == [RemotePresence(others=3)]
