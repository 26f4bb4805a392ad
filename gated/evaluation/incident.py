"""An incident at a gate as a file: the events that the gate received, to be decided again.

    gzip of JSON     version, zone, policy, calibration, plan, last passages, gallery, events

People are P1, P2 ... in it: it holds no name, code, uid, picture or face encoding of anybody.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import TypeAdapter, ValidationError

from gated.access.access_plan import load_plan
from gated.access.last_punches import last_punches
from gated.core.calibration import Calibration
from gated.core.gallery import Gallery, GalleryPerson, Match
from gated.core.gate import Gate
from gated.core.messages import (
    CameraEvent,
    CredentialPresented,
    DoorEvent,
    Event,
    Expected,
    JournalState,
    LastPassages,
    LastPunches,
    Observation,
    OperatorUnlock,
    PlanReplaced,
    RecordDecision,
    ReleaseFailed,
    ResetFire,
    SetDoorMode,
    Tick,
    Trigger,
)
from gated.core.plan import AccessPlan
from gated.core.policy import GatePolicy
from gated.core.sketch import placed
from gated.core.values import (
    Box,
    CameraEventKind,
    Direction,
    DoorEventKind,
    DoorMode,
    Face,
    Instant,
    Mesh,
    Method,
    PadReading,
    PersonRef,
    Quality,
    TrackedFace,
    Vector,
)
from gated.errors import SourceError
from gated.people import person_store
from gated.workspace import Workspace

VERSION = 1
SUFFIX = ".incident"
RUN_UP_S = 30.0
"""Seconds before the span that are included: people seen at its beginning came before."""

LARGEST = 256 << 20
TICKS = 1000
"""Deadlines of the gate between two events; more of them is a mistake."""

_LAST = TypeAdapter(dict[int, tuple[Direction, float] | None])

_MALFORMED = (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, ValidationError)

Line = dict[str, Any]


@dataclass(frozen=True)
class Incident:
    """A span of time at one gate. events: as they were taped, people by their numbers."""

    since: float
    until: float
    zone: str
    policy: GatePolicy
    calibration: Calibration
    plan: AccessPlan
    last: LastPassages
    gallery: Line
    events: Sequence[Line]

    def write(self, path: Path) -> None:
        """Write the file, replacing an older one. Raises: SourceError."""
        plan = {
            name: adapter.dump_python(getattr(self.plan, name), mode="json")
            for name, adapter in _plan_adapters().items()
        }
        document = {
            "gated_incident": VERSION,
            "since": self.since,
            "until": self.until,
            "zone": self.zone,
            "policy": TypeAdapter(GatePolicy).dump_python(self.policy, mode="json"),
            "calibration": TypeAdapter(Calibration).dump_python(self.calibration, mode="json"),
            "plan": plan,
            "last": _LAST.dump_python(dict(self.last), mode="json"),
            "gallery": self.gallery,
            "events": list(self.events),
        }
        try:
            path.write_bytes(gzip.compress(json.dumps(document).encode()))
        except OSError as error:
            raise SourceError(f"{path} cannot be written: {error.strerror}") from None

    @staticmethod
    def read(path: Path) -> Incident:
        """Read a file that `write` made. Raises: SourceError."""
        try:
            with gzip.open(path) as file:
                document = json.loads(file.read(LARGEST))
            if document["gated_incident"] != VERSION:
                raise SourceError(f"{path} was made by another version of gated")
            zone = ZoneInfo(document["zone"])
            plan = {
                name: adapter.validate_python(document["plan"][name])
                for name, adapter in _plan_adapters().items()
            }
            return Incident(
                float(document["since"]),
                float(document["until"]),
                document["zone"],
                TypeAdapter(GatePolicy).validate_json(json.dumps(document["policy"])),
                TypeAdapter(Calibration).validate_json(json.dumps(document["calibration"])),
                AccessPlan(zone=zone, **plan),
                _LAST.validate_json(json.dumps(document["last"])),
                dict(document["gallery"]),
                [dict(line) for line in document["events"]],
            )
        except _MALFORMED as error:
            raise SourceError(f"{path} is no incident of gated: {error}") from None


def _plan_adapters() -> Mapping[str, TypeAdapter[Any]]:
    hints = get_type_hints(AccessPlan)
    return {f.name: TypeAdapter(hints[f.name]) for f in fields(AccessPlan) if f.name != "zone"}


# --- from the ring ----------------------------------------------------------------------------


def gather(
    workspace: Workspace, policy: GatePolicy, calibration: Calibration, since: float, until: float
) -> Incident:
    """Make an incident from the ring's lines of a span (UTC seconds). Raises: SourceError."""
    events = list(_taped(workspace, since - RUN_UP_S, until))
    lines = [line for line in events if line["kind"] not in ("gallery", "start")]
    if not lines:
        raise SourceError("nothing is kept of that time: it was longer ago, or nobody came")
    with workspace.database.read() as session:
        known = person_store.ids_by_uid(session, _uids(events))
    numbers = {uid: n for n, uid in enumerate(sorted(known), 1)}
    by_id = {known[uid]: n for uid, n in numbers.items()}
    plan, zone = load_plan(workspace), str(load_plan(workspace).zone)
    begin = Instant(lines[0]["mono"], lines[0]["utc"])
    last = last_punches(workspace, begin, whom=list(by_id)).punches if by_id else {}
    galleries = [line for line in events if line["kind"] == "gallery"]
    people: Line = {}
    for line in galleries:
        people |= {
            str(numbers[uid]): person for uid, person in line["people"].items() if uid in numbers
        }
    gallery = {"templates": galleries[-1]["templates"], "people": people}
    gallery |= {"model": galleries[-1]["model"], "metric": galleries[-1]["metric"]}
    return Incident(
        since,
        until,
        zone,
        policy,
        calibration,
        _pseudonymous(plan, by_id),
        {by_id[id_]: passage for id_, passage in last.items() if id_ in by_id},
        gallery,
        [_renamed(line, numbers) for line in events if line["kind"] != "gallery"],
    )


def _taped(workspace: Workspace, since: float, until: float) -> Iterator[Line]:
    """Yield the lines of a span, each run of the program begun by a line of kind `start`."""
    run = ""
    for name in workspace.ring.names():
        piece = workspace.ring.read(name)
        if piece is None:
            continue
        lines = [json.loads(line) for line in piece.lines]
        inside = [line for line in lines[1:] if since <= line["utc"] < until]
        if not inside:
            continue
        if name.rpartition("-")[0] != run:
            run = name.rpartition("-")[0]
            yield {"kind": "start"}
        yield lines[0]
        yield from inside


def _uids(events: Sequence[Line]) -> set[str]:
    found: set[str] = set()
    for line in events:
        found |= line["people"].keys() if line["kind"] == "gallery" else set()
        found |= {line["person"]} if line.get("person") else set()
        for face in line.get("faces", ()):
            found |= face.get("match", {}).keys()
    return found


def _renamed(line: Line, numbers: Mapping[str, int]) -> Line:
    """Return the line with people by their numbers; people who no longer exist are nobody."""
    renamed = dict(line)
    if "person" in line:
        renamed["person"] = numbers.get(line["person"] or "")
    if "faces" in line:
        renamed["faces"] = [
            {**f, "match": {str(numbers[u]): s for u, s in f["match"].items() if u in numbers}}
            if "match" in f
            else f
            for f in line["faces"]
        ]
    return renamed


def _pseudonymous(plan: AccessPlan, by_id: Mapping[int, int]) -> AccessPlan:
    return replace(
        plan,
        schedules={i: replace(s, name=f"schedule {i}") for i, s in plan.schedules.items()},
        groups={i: replace(g, name=f"group {i}") for i, g in plan.groups.items()},
        people={
            by_id[id_]: replace(one, person=_ref(by_id[id_]))
            for id_, one in plan.people.items()
            if id_ in by_id
        },
    )


def _ref(number: int) -> PersonRef:
    name = f"P{number}"
    return PersonRef(number, name, name, name)


# --- deciding again ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReplayedDecision:
    """The part of a decision that two runs compare. utc: seconds; person: their number."""

    utc: float
    outcome: str
    reason: str
    person: int | None
    track: int | None

    @property
    def key(self) -> tuple[str, str, int | None, int | None]:
        """Everything but the moment."""
        return self.outcome, self.reason, self.person, self.track


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between two runs: the old and the new decision; either may be missing."""

    then: tuple[ReplayedDecision, ...]
    now: tuple[ReplayedDecision, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TapedGallery(Gallery):
    """Holds the similarities of each taped face to people, and no template.

    alike: bytes of a face's vector -> person -> similarity. counts: person -> templates.
    """

    alike: dict[bytes, Mapping[int, float]] = field(default_factory=dict)
    counts: Mapping[int, int] = field(default_factory=dict)
    size: int = 0

    def __len__(self) -> int:
        return self.size

    def match(self, probe: Vector) -> Match | None:
        """Return the two people whom the taped face resembled most."""
        alike = self.alike.get(probe.tobytes(), {})
        found = [(alike[m.person.id], m) for m in self.members if m.person.id in alike]
        found.sort(key=lambda pair: -pair[0])
        if not found:
            return None
        if len(found) == 1:
            return Match(found[0][1], found[0][0])
        return Match(found[0][1], found[0][0], found[1][1], found[1][0])

    def match_all(self, probes: Sequence[Vector]) -> list[Match | None]:
        return [self.match(probe) for probe in probes]

    def only(self, person_id: int) -> Gallery:
        members = tuple(m for m in self.members if m.person.id == person_id)
        return replace(self, members=members, size=self.counts.get(person_id, 0))


def decide_again(
    incident: Incident, policy: GatePolicy
) -> tuple[list[ReplayedDecision], list[ReplayedDecision]]:
    """Return the decisions recorded in the span, and those of a gate with this policy."""
    then, now = [], []
    gate: Gate | None = None
    gallery = _gallery(incident)
    for line in incident.events:
        if line["kind"] == "start":
            gate = None
            continue
        gate = gate or _started(incident, policy, gallery, _instant(line))
        if line["kind"] == "decided":
            verdict = ReplayedDecision(
                line["utc"], line["outcome"], line["reason"], line["person"], line["track"]
            )
            then.append(verdict)
            continue
        event = _event(line, gallery)
        if event is not None:
            now += _handled(gate, event, _instant(line))
    return _inside(incident, then), _inside(incident, now)


def _inside(incident: Incident, verdicts: Sequence[ReplayedDecision]) -> list[ReplayedDecision]:
    return [v for v in verdicts if incident.since <= v.utc < incident.until]


def differences(
    then: Sequence[ReplayedDecision], now: Sequence[ReplayedDecision]
) -> list[Difference]:
    """List the differences of two runs, in the order of time."""
    matcher = SequenceMatcher(None, [v.key for v in then], [v.key for v in now], autojunk=False)
    return [
        Difference(tuple(then[a:b]), tuple(now[c:d]))
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    ]


def _started(incident: Incident, policy: GatePolicy, gallery: Gallery, now: Instant) -> Gate:
    """Return a gate that is ready for visits."""
    # each run asks for the same movements; nobody is there to answer them
    gate = Gate(policy, gallery, incident.calibration, seed=b"replay")
    gate.handle(PlanReplaced(incident.plan), now)
    gate.handle(LastPunches(incident.last), now)
    return gate


def _handled(gate: Gate, event: Event, now: Instant) -> list[ReplayedDecision]:
    """Return the decisions at the gate's own deadlines until this moment, and by the event."""
    made: list[ReplayedDecision] = []
    for _ in range(TICKS):
        due = gate.deadline
        if due is None or due >= now.mono:
            break
        at = replace(now, mono=due, utc=now.utc - (now.mono - due))
        made += _verdicts(gate, Tick(), at)
    return made + _verdicts(gate, event, now)


def _verdicts(gate: Gate, event: Event, now: Instant) -> list[ReplayedDecision]:
    decided = [c.decision for c in gate.handle(event, now) if isinstance(c, RecordDecision)]
    return [
        ReplayedDecision(
            now.utc, d.outcome, d.reason, None if d.person is None else d.person.id, d.track_id
        )
        for d in decided
    ]


def _instant(line: Line) -> Instant:
    return Instant(line["mono"], line["utc"], line["ok"], line["doubted"])


def _gallery(incident: Incident) -> TapedGallery:
    people: Mapping[str, Sequence[Any]] = incident.gallery["people"]
    members = tuple(
        GalleryPerson(_ref(int(n)), bool(active), bool(extended))
        for n, (active, extended, _) in people.items()
    )
    return TapedGallery(
        incident.gallery["model"],
        incident.gallery["metric"],
        np.empty((0, 0), np.float32),
        np.empty(0, np.int32),
        members,
        counts={int(n): count for n, (_, _, count) in people.items()},
        size=incident.gallery["templates"],
    )


def _event(line: Line, gallery: TapedGallery) -> Event | None:
    match line["kind"]:
        case "seen":
            faces = tuple(_face(face, gallery) for face in line["faces"])
            size = line["width"], line["height"]
            lost = tuple(line["lost"])
            return Observation(line["number"], line["at"], *size, faces, lost, line["turn"])
        case "credential":
            return CredentialPresented(Method(line["method"]), line["person"])
        case "expected":
            return Expected(line["person"], line["for_s"])
        case "trigger":
            return Trigger("replay")
        case "door":
            return DoorEvent(DoorEventKind(line["door"]))
        case "camera":
            return CameraEvent(CameraEventKind(line["camera"]))
        case "journal":
            return JournalState(line["available"])
        case "operator":
            return OperatorUnlock("", "", line["for_s"])
        case "mode":
            return SetDoorMode(DoorMode(line["mode"]), "", "", line.get("until"))
        case "reset_fire":
            return ResetFire("", "")
        case "release_failed":
            return ReleaseFailed()
        case _:
            return None


def _face(line: Line, gallery: TapedGallery) -> TrackedFace:
    embedding: Vector | None = None
    if "sketch" in line:
        sketch = np.asarray(line["sketch"], np.float32)
        embedding = placed(sketch, line["track"], len(gallery.alike) + 1)
        gallery.alike[embedding.tobytes()] = {int(n): s for n, s in line["match"].items()}
    return TrackedFace(
        line["track"],
        Face(Box(*line["box"]), np.asarray(line["landmarks"], np.float32), line["score"]),
        Quality(*line["quality"]),
        tuple(line["flaws"]),
        embedding,
        PadReading(*line["pad"]) if "pad" in line else None,
        Mesh(*line["mesh"]) if "mesh" in line else None,
    )


def moment_of(text: str, zone: str) -> float:
    """Return the UTC seconds of a time in ISO 8601, of this zone where it names none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SourceError(f"{text} is no time: write 2026-11-30T08:15") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return moment.astimezone(UTC).timestamp()
