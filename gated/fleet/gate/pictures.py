"""Snapshots of attacks and strangers on their way to the hub, where both sides are to keep them.

Sealed for the hub, whoever ends the TLS; taken once, however often they come; few, and small.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from sqlalchemy.orm import Session

from gated.core.chain import canonical
from gated.core.values import Reason, moment
from gated.database import change_feed
from gated.database import stored_settings as settings_store
from gated.database.records import GateRow, Person, Snapshot
from gated.errors import HubError, HubUnreachable, SealError, SourceError, StorageError
from gated.fleet.gate import replica
from gated.fleet.gate.client import HubClient
from gated.fleet.hub import scope
from gated.fleet.wire.signing import Envelopes, Opener
from gated.live import snapshot_store
from gated.live.snapshots import PER_DAY
from gated.people import person_store
from gated.ports import Clock
from gated.workspace import Service, Workspace

LARGEST = 512 * 1024
"""Bytes of a picture that travels."""

KEY = "sync_pictures"
"""The id of the last snapshot that the hub was given."""

_HALF_A_DAY = timedelta(hours=12)
_KINDS = frozenset({Reason.SPOOF.value, Reason.NO_MATCH.value})
_JPEG = b"\xff\xd8\xff"
_USELESS = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)


@dataclass(frozen=True, slots=True)
class Picture:
    """A snapshot as it travels. person: uid of in whose name an attack was made."""

    reason: str
    visit: int
    pad: float | None
    taken_at: datetime
    person: str | None
    jpeg: bytes

    def wire(self) -> bytes:
        """As JSON."""
        payload = {
            "reason": self.reason,
            "visit": self.visit,
            "pad": self.pad,
            "person": self.person,
        }
        payload["taken_at"] = self.taken_at.isoformat()
        return json.dumps({**payload, "jpeg": base64.b64encode(self.jpeg).decode()}).encode()

    @classmethod
    def read(cls, payload: bytes) -> Picture:
        """From what `wire` made; SourceError."""
        try:
            t = json.loads(payload)
            jpeg = base64.b64decode(t["jpeg"], validate=True)
            taken_at = datetime.fromisoformat(t["taken_at"])
            pad = None if t["pad"] is None else float(t["pad"])
            person = None if t["person"] is None else str(t["person"])
            made = cls(str(t["reason"]), int(t["visit"]), pad, taken_at, person, jpeg)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise SourceError("this is no snapshot") from None
        small = len(jpeg) <= LARGEST and abs(made.visit) < 2**31
        if not (made.reason in _KINDS and jpeg.startswith(_JPEG) and small and taken_at.tzinfo):
            raise SourceError("this is no snapshot")
        return made


class PictureSender:
    """Sends the snapshots of a gate, oldest first; one thread at a time."""

    def __init__(self, workspace: Workspace, client: HubClient, hub_seal: str) -> None:
        self._workspace = workspace
        self._client = client
        self._hub_seal = hub_seal

    def send(self) -> bool:
        """Send one snapshot, or pass over one that cannot be; whether there was one. HubError."""
        found = self._next()
        if found is None:
            return False
        wire = self._wire(*found)
        if wire is not None:
            self._post(wire)
        with self._workspace.database.write() as session:
            settings_store.set_(session, KEY, found[0].id)
        return True

    def _next(self) -> tuple[Snapshot, str | None] | None:
        with self._workspace.database.read() as session:
            last = settings_store.get(session, KEY, 0)
            found = snapshot_store.after(session, last)
            if found is None:
                return None
            known = person_store.refs(session, [found.person_id] if found.person_id else [])
        person = known.get(found.person_id) if found.person_id else None
        return found, None if person is None else person.uid

    def _wire(self, snapshot: Snapshot, person: str | None) -> dict[str, str] | None:
        """None for one that is gone meanwhile, or too large."""
        try:
            jpeg = self._workspace.files.load_image(snapshot.path)
        except (StorageError, SealError):
            return None
        if len(jpeg) > LARGEST:
            return None
        s = snapshot
        picture = Picture(s.reason, s.visit, s.pad, s.taken_at, person, jpeg)
        envelopes = Envelopes.to(self._hub_seal)
        sealed = envelopes.seal(picture.wire(), sealed_for(s.uid))
        return {"uid": s.uid, "ephemeral": envelopes.ephemeral, "sealed": sealed}

    def _post(self, wire: Mapping[str, str]) -> None:
        try:
            answer = self._client.post("/api/sync/pictures", wire)
        except HubError as error:
            if error.status in _USELESS:
                return
            raise
        if not isinstance(answer, dict) or answer.get("taken") != wire["uid"]:
            raise HubUnreachable("the hub's answer cannot be understood")


class PictureIntake(Service):
    """Keeps the snapshots of the gates of a workspace that is their hub."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._opener = Opener(workspace.keys.opening)

    def take(self, gate: GateRow, uid: str, ephemeral: str, sealed: str) -> bool:
        """Keep a snapshot of a gate, once; whether it is kept. SourceError, StorageError.

        Not kept: what the settings of the hub keep none of or not any more, more than `PER_DAY` of
        a gate and a day, and what was taken in the name of somebody whom the gate does not carry,
        or who is not known here and so could not be erased.
        """
        try:
            plain = self._opener.envelopes(ephemeral).open(sealed, sealed_for(uid))
        except SealError as error:
            raise SourceError(str(error)) from None
        picture = Picture.read(plain)
        if not self._workspace.settings.privacy.unknown_faces_days:
            return False
        path = self._workspace.files.save_image(picture.jpeg)
        kept = False
        try:
            kept = self._keep(gate, uid, picture, path)
        finally:
            if not kept:
                self._workspace.files.delete(path)
        return kept

    def _keep(self, gate: GateRow, uid: str, picture: Picture, path: str) -> bool:
        # what is to come would never be old enough to go
        now = moment(self._clock.now())
        taken_at = min(picture.taken_at, now)
        days = timedelta(days=self._workspace.settings.privacy.unknown_faces_days)
        with self._workspace.database.write() as session:
            if snapshot_store.has(session, uid) or taken_at < now - days:
                return False
            # around its own time, of which the gate may say what it likes
            near = taken_at - _HALF_A_DAY, taken_at + _HALF_A_DAY
            if snapshot_store.count(session, gate.name, *near) >= PER_DAY:
                return False
            person = self._named(session, gate, picture)
            if picture.person and person is None:
                return False
            values: dict[str, Any] = {
                "reason": picture.reason,
                "gate_name": gate.name,
                "visit": picture.visit,
                "pad": picture.pad,
                "path": path,
                "taken_at": taken_at,
            }
            id_ = person.id if person is not None else None
            return snapshot_store.add(session, person_id=id_, uid=uid, **values)

    def _named(self, session: Session, gate: GateRow, picture: Picture) -> Person | None:
        """In whose name an attack was made; None for who is erased, or is not of this gate."""
        if picture.person is None or change_feed.erased(session, [picture.person]):
            return None
        if not scope.uids_of(session, gate, [picture.person]):
            return None
        return replica.find(session, picture.person)


def sealed_for(uid: str) -> str:
    """Return what the envelope of a snapshot is bound to."""
    return canonical(["gated snapshot", uid]).decode()
