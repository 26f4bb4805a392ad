"""Whatever bytes come, the parsers that are our own answer with an error that is meant, or read it.

Valid samples are cut, repeated, flipped and mixed, so that what is tried gets past the first check.
The parsers of pictures, models, messages between the processes, card readers and requests have
tests of this kind beside them: `vision/test_stripping`, `vision/test_onnx`, `link/test_wire`,
`devices/test_readers`, `web/test_schemathesis`, `web/test_connections_api`.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gated.config import load
from gated.enrollment.archive import read_upload
from gated.errors import ConfigError, GatedError, SourceError
from gated.evaluation.incident import Incident
from gated.fleet.wire.edits import read_content
from gated.fleet.wire.heartbeat import reported
from gated.fleet.wire.states import (
    EditState,
    GroupState,
    OperatorState,
    ScheduleState,
    SentPerson,
    SettingsState,
    SiteState,
    State,
)  # fmt: skip
from gated.journal.chain_tip import read_head
from gated.journal.erasure_ledger import ErasureLedger
from gated.vault.files import FileStore
from gated.vault.ring import SealedRing
from gated.vault.sealing import Sealer
from tests.enrollment.test_archive import zipped
from tests.enrollment.test_workbook import row, text, titles, workbook

TABLE = b"personnel_code,first_name,last_name,photo\nA-1,Anna,Arc,a.jpg\nB-2,Bob,Bee,b.jpg\n"
SEALER = Sealer(b"k" * 32)


@st.composite
def harmed(draw: st.DrawFn, *samples: bytes) -> bytes:
    """One of these samples with some places changed, or anything at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=400))
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        size = draw(st.integers(0, 16))
        match draw(st.sampled_from(("flip", "cut", "put", "repeat", "number"))):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at : at + size]
            case "put":
                data[at:at] = draw(st.binary(max_size=16))
            case "repeat":
                data[at:at] = data[at : at + size] * draw(st.integers(1, 40))
            case "number":
                data[at : at + 4] = draw(st.sampled_from((b"\xff" * 4, b"\0" * 4, b"\x7f" * 4)))
    return bytes(data)


def survives(parse: Callable[[], object], *meant: type[Exception]) -> None:
    """Parse; only these errors are answers."""
    with contextlib.suppress(*meant):
        parse()


BOOK = workbook(titles() + row(text("A-1"), text("Anna")))


@given(harmed(TABLE, TABLE.replace(b",", b";"), TABLE.decode().encode("utf-16")))
def test_tables(data: bytes) -> None:
    survives(lambda: read_upload(data), SourceError)


@given(harmed(BOOK))
def test_workbooks(data: bytes) -> None:
    survives(lambda: read_upload(data), SourceError)


@given(
    harmed(zipped({"people.csv": TABLE, "a.jpg": b"x", "b.jpg": b"y"}), zipped({"A-1/1.jpg": b"z"}))
)
def test_archives(data: bytes) -> None:
    survives(lambda: _read_all(data), SourceError, OSError)


def _read_all(data: bytes) -> None:
    for person in read_upload(data).people:
        for photo in person.photos:
            photo.open("rb").read()


CONFIG = (Path(__file__).parent.parent / "config" / "gate.reference.yaml").read_bytes()
SMALL = b"gate: {name: a}\ncamera: {driver: replay, source: demo}\ndoor: {driver: simulated}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parsers")


@given(data=harmed(CONFIG, SMALL, SMALL + b"a: &a [*a]\n", SMALL + b"x: !!python/object:os {}\n"))
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_configurations(folder: Path, data: bytes) -> None:
    file = folder / "gate.yaml"
    file.write_bytes(data)
    survives(lambda: load(file, {}), ConfigError)


EDIT = json.dumps(
    {"fields": {"first_name": "Anna", "personnel_code": "A-1"}, "groups": ["staff"]}
).encode()
TEMPLATE = base64.b64encode(np.ones(8, "<f4").tobytes()).decode()
ENROLL = json.dumps({"template": TEMPLATE, "model": "m", "photo": None, "quality": {}}).encode()


@given(
    st.sampled_from(("create", "change", "enroll", "remove", "none")), harmed(EDIT, ENROLL, b"{}")
)
def test_edits_of_gates(kind: str, data: bytes) -> None:
    survives(lambda: read_content(kind, data), ValueError)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def fields_of(kind: type[State]) -> st.SearchStrategy[bytes]:
    """JSON with the fields of a state and anything in them."""
    some = st.fixed_dictionaries({}, optional=dict.fromkeys(kind.model_fields, JSON))
    return some.map(lambda told: json.dumps(told).encode())


@pytest.mark.parametrize(
    "kind",
    [SentPerson, ScheduleState, GroupState, SiteState, OperatorState, EditState, SettingsState],
)
def test_pages_of_sync(kind: type[State]) -> None:
    @given(fields_of(kind) | harmed(b"{}", b'{"uid": "x", "name": "y"}'))
    @settings(max_examples=40)
    def tried(data: bytes) -> None:
        survives(lambda: kind.from_wire(data, "m"), ValueError, TypeError)

    tried()


@given(st.dictionaries(st.text(max_size=12), JSON, max_size=6))
def test_what_a_gate_reports_of_itself(status: dict[str, Any]) -> None:
    reported(status)


@given(data=harmed(b'{"chain":"a/1","seq":4,"hash":"ab","signature":"cd"}\n'))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_head_files_and_ledgers(folder: Path, data: bytes) -> None:
    file = folder / "journal.head"
    file.write_bytes(data)
    read_head(file)
    ErasureLedger(file).read()


INCIDENT = gzip.compress(b'{"gated_incident": 1, "since": 0, "until": 1, "zone": "UTC"}', mtime=0)


@given(data=harmed(INCIDENT, gzip.compress(b'{"gated_incident": 1}', mtime=0)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_incidents(folder: Path, data: bytes) -> None:
    file = folder / "some.incident"
    file.write_bytes(data)
    survives(lambda: Incident.read(file), SourceError)


@given(data=harmed(b'{"model": "m", "dimension": 2}\n' + np.ones(2, "<f4").tobytes()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sealed_files_whose_content_is_wrong(folder: Path, data: bytes) -> None:
    """Sealed with the right key, so that the seal does not help."""
    files, rel = FileStore(folder / "uploads", SEALER), "encodings/a.sealed"
    (folder / "uploads" / rel).write_bytes(SEALER.seal(data, rel))
    survives(lambda: files.load_encoding(rel), GatedError)


@given(data=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_of_the_ring_whose_content_is_wrong(folder: Path, data: bytes) -> None:
    ring = SealedRing(folder / "incidents", SEALER)
    (folder / "incidents").mkdir(exist_ok=True)
    (folder / "incidents" / "a.piece").write_bytes(SEALER.seal(data, "incidents/a"))
    assert ring.read("a") is None
