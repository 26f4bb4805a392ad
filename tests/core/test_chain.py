from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.chain import (
    GENESIS,
    canonical,
    commitment,
    project,
    read_canonical,
    row_hash,
    stored_row_hash,
    utc,
    uuid7,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=4)


def _same(a: Any, b: Any) -> bool:
    """Equality of JSON values, where 1, 1.0 and true are three."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


@given(JSON)
def test_what_is_canonical_is_read_back_the_same(value: Any) -> None:
    assert _same(json.loads(canonical(value)), value)


@given(JSON)
def test_reading_and_writing_again_changes_no_byte(value: Any) -> None:
    assert canonical(json.loads(canonical(value))) == canonical(value)


@given(JSON, JSON)
def test_two_values_have_the_same_bytes_only_when_they_are_the_same(a: Any, b: Any) -> None:
    assert (canonical(a) == canonical(b)) == _same(a, b)


@given(OBJECTS)
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@given(OBJECTS)
def test_only_the_canonical_spelling_is_read(value: dict[str, Any]) -> None:
    text = canonical(value).decode()
    assert _same(read_canonical(text), value)
    for other in (f"{text} ", f"[{text}]"):
        with pytest.raises(ValueError, match="JSON"):
            read_canonical(other)


@given(OBJECTS, OBJECTS, st.text(), st.integers(-(2**62), 2**62), st.booleans())
def test_a_stored_row_has_the_hash_of_the_row(
    body: dict[str, Any], commits: dict[str, Any], text: str, number: int, yes: bool
) -> None:
    rest: dict[str, Any] = {"kind": text, "at_utc": number, "clock_ok": yes, "zone": text}
    told = {"body": canonical(body).decode(), "commits": canonical(commits).decode()}
    row = {**rest, "body": body, "commits": commits}
    assert stored_row_hash(GENESIS, {**rest, **told}) == row_hash(GENESIS, row)


@given(JSON)
def test_it_is_ascii_without_control_characters(value: Any) -> None:
    assert all(0x20 <= byte < 0x7F for byte in canonical(value))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_numbers_that_json_lacks_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical(value)


@pytest.mark.parametrize("value", [{1: 2}, {"a": [{None: 1}]}, {True: 1}, b"x", {"a": {1, 2}}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical(value)


def test_the_format_is_fixed() -> None:
    """Journals that were written must verify for ever: these values may never change."""
    value = {"b": [1, 1.0, None, True], "a": "é\n\ud800", "c": 1e-7}
    assert canonical(value) == rb'{"a":"\u00e9\n\ud800","b":[1,1.0,null,true],"c":1e-07}'
    assert row_hash(GENESIS, {"seq": 1}) == (
        "0a00898550374c41186879d92f30325cd0a550ce8c5da4d9aeef34a95c0b85ea"
    )
    assert commitment("00ff", {"name": "x"}) == (
        "9078b9b4a91012db9ef3fddbeecd4bf7cfa98119de561c214827ff7c20bf6480"
    )


@given(OBJECTS, st.text(), JSON)
def test_any_change_of_a_field_changes_the_hash(
    fields: dict[str, Any], key: str, value: Any
) -> None:
    changed = {**fields, key: value}
    assert (row_hash(GENESIS, changed) == row_hash(GENESIS, fields)) == _same(changed, fields)


@given(OBJECTS)
def test_the_hash_depends_on_the_row_before(fields: dict[str, Any]) -> None:
    assert row_hash(GENESIS, fields) != row_hash("1" * 64, fields)


@given(OBJECTS, OBJECTS)
def test_a_commitment_binds_salt_and_payload(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert (commitment("00", a) == commitment("00", b)) == _same(a, b)
    assert commitment("00", a) != commitment("01", a)


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=32))
def test_a_uid_is_a_uuid_of_version_7_that_tells_its_time(ms: int, entropy: bytes) -> None:
    uid = uuid.UUID(uuid7(ms, entropy))
    assert (uid.version, uid.variant, uid.int >> 80) == (7, uuid.RFC_4122, ms)


@given(st.integers(0, 2**40), st.integers(1, 2**20), st.binary(min_size=10, max_size=10))
def test_uids_sort_by_time(ms: int, later: int, entropy: bytes) -> None:
    assert uuid7(ms, entropy) < uuid7(ms + later, entropy)


def _row(kind: str = "decision", **body: Any) -> dict[str, Any]:
    told: Mapping[str, Any] = {
        "gate": "front",
        "camera": "cam",
        "site": "hq",
        "direction": "entry",
        "status": "granted",
        "reason": "granted",
        "method": "face",
        "confidence": 0.9,
    }
    return {
        "chain": "g/1",
        "seq": 7,
        "at_utc": 1_700_000_000_123_456,
        "kind": kind,
        "body": {**told, **body},
        "hash": "ab" * 32,
    }


def test_a_decision_becomes_a_row_of_the_attendance_log() -> None:
    values = project(_row(frames=3), {"subject": {"person_id": 5}})
    assert values is not None
    assert (values["person_id"], values["status"], values["frames"]) == (5, "granted", 3)
    assert values["created_at"] == utc(1_700_000_000_123_456)
    assert values["created_at"].isoformat() == "2023-11-14T22:13:20.123456+00:00"


def test_without_private_part_it_names_nobody() -> None:
    values = project(_row(), {})
    assert values is not None
    assert values["person_id"] is None


def test_other_kinds_make_no_row() -> None:
    assert project(_row("door_forced"), {}) is None
