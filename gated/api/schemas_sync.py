"""What goes in and out between gates and their hub, and to those who run the fleet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from gated.api.schemas import In, Moment, Out, Text
from gated.services.sync.collect import Batch, Head
from gated.services.sync.edits import EditHead
from gated.services.sync.fleet import FleetGate
from gated.services.sync.operators import Editor
from gated.services.sync.review import ReviewedEdit

Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Uid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{1,64}$")]
Groups = Sequence[Text]
Edits = Literal["none", "pending", "at_once"]


class FleetGateIn(In):
    name: Text
    site: Text
    groups: Groups = ()
    """Whose members the gate is given."""
    everyone: bool = False
    """The gate is given everybody."""
    photos: bool = False
    """The gate is given reference photos, too, for models of its own."""
    edits: Edits = "none"
    """What operators may change there: nothing, or people; before the hub accepts it or not."""


class FleetGateChange(In):
    """Fields that are left out stay as they are."""

    name: Text = ""
    site: Text = ""
    groups: Groups = ()
    everyone: bool = False
    photos: bool = False
    edits: Edits = "none"


class ReportedSettingsOut(Out):
    revision: int
    """The one that it runs; 0: none, its own file."""
    state: str | None
    """running, waiting, trial or refused."""
    reason: str | None
    """Why it refused the last one."""
    overruled: Sequence[str]
    """Keys for which its file or environment says something else."""


class ReportedOut(Out):
    version: str | None
    started_at: str | None
    people: int | None
    templates: int | None
    gallery: str | None
    """Digest of whom it knows by which templates: equal at gates that know the same."""
    clock_ok: bool | None
    clock_offset_s: float | None
    """Its clock less that of the hub."""
    disk_free: int | None
    """Bytes."""
    backlog: int | None
    """Rows of its journal that the hub does not have."""
    alarms: Sequence[str]
    problems: Sequence[str]
    settings: ReportedSettingsOut


class FleetGateOut(Out):
    id: int
    uid: str
    name: str
    site: str
    state: str
    """invited, joined or revoked."""
    groups: Sequence[str]
    everyone: bool
    photos: bool
    edits: Edits
    invite_until: datetime | None
    joined_at: datetime | None
    revoked_at: datetime | None
    seen_at: datetime | None
    model: str | None
    troubled: bool
    """It told of alarms or problems."""
    configuration: int
    """The revision that it was given; 0: none, its own file."""
    reported: ReportedOut
    """What the gate told of itself when it was last heard of."""
    status: Mapping[str, Any]
    """The same in its own words."""

    @staticmethod
    def of(found: FleetGate) -> FleetGateOut:
        values = {name: getattr(found.gate, name) for name in _OF_THE_GATE}
        told = ReportedOut.model_validate(found.reported)
        return FleetGateOut(
            **values, groups=found.groups, configuration=found.wanted, reported=told
        )


_OF_THE_GATE = FleetGateOut.model_fields.keys() - {"groups", "configuration", "reported"}


class FleetOperatorIn(In):
    groups: Groups = ()
    """Whose members they may edit, at the gates that carry them."""
    everyone: bool = False
    """They may edit everybody whom a gate carries."""


class FleetOperatorOut(Out):
    username: str
    groups: Sequence[str]
    everyone: bool
    known: bool
    """Whether gates can know them: the password was seen since they were allowed."""

    @staticmethod
    def of(found: Editor) -> FleetOperatorOut:
        return FleetOperatorOut(
            username=found.username,
            groups=list(found.groups.values()),
            everyone=found.everyone,
            known=found.public_key is not None,
        )


class InvitationOut(Out):
    id: int
    name: str
    code: str
    valid_until: datetime


class GateKeysIn(In):
    sign_key: Hex32
    seal_key: Hex32
    token_digest: Hex32


class KeysOut(Out):
    sign_key: str
    """The one that the hub knows the gate by from now on."""


class JoinIn(GateKeysIn):
    invite: Hex32
    device: Uid
    """The gate's journal, by its uid."""
    journal_key: Hex32
    proof: Hex32
    """HMAC-SHA256 with the code's key over the other fields."""


class JoinOut(Out):
    gate: str
    name: str
    site: str
    hub: str
    """The hub's public key (Ed25519, hex)."""
    seal_key: str
    """For what only the hub may read (X25519, public, hex)."""
    signature: str


Seq = Annotated[int, Field(ge=0, le=2**53)]
Chain = Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{1,64}/[0-9]{1,9}$")]
Signature = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
Json = Annotated[str, StringConstraints(max_length=65_536)]


class AfterIn(In):
    seq: Seq
    hash: Hex32


class JournalRowIn(In):
    seq: Seq
    at_utc: Annotated[int, Field(ge=-(2**62), le=2**62)]
    boot_id: Annotated[str, StringConstraints(max_length=64)]
    mono_ns: Annotated[int, Field(ge=-(2**62), le=2**62)]
    clock_ok: bool
    kind: Annotated[str, StringConstraints(max_length=64)]
    body: Json
    commits: Json
    hash: Hex32


class JournalCutIn(JournalRowIn):
    """A sealed row that tells which rows the gate has dropped."""

    chain: Chain
    prev: Hex32
    signature: Signature


class JournalPrivateIn(In):
    seq: Seq
    role: Literal["subject", "actor"]
    salt: Hex32
    payload: Json


class JournalSealIn(In):
    seq: Seq
    hash: Hex32
    signature: Signature


class JournalIn(In):
    """Rows of one chain that follow the row `after`, and what hangs on them."""

    chain: Chain
    after: AfterIn
    rows: Annotated[list[JournalRowIn], Field(max_length=1000)]
    private: Annotated[list[JournalPrivateIn], Field(max_length=2000)]
    seals: Annotated[list[JournalSealIn], Field(max_length=1000)]
    lost: bool = False
    """The rows before are not on the gate any more."""
    cut: JournalCutIn | None = None
    """Why not, where the gate has dropped them itself."""

    def batch(self) -> Batch:
        return Batch(
            Head(self.chain, self.after.seq, self.after.hash),
            [r.model_dump() for r in self.rows],
            [p.model_dump() for p in self.private],
            [s.model_dump() for s in self.seals],
            self.lost,
            None if self.cut is None else self.cut.model_dump(),
        )


class EditIn(In):
    """An edit of a person, signed by the operator who made it."""

    uid: Uid
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,20}$")]
    person: Uid
    base: Seq
    """The version of the person that the gate was told of."""
    after: Uid | None
    """The edit of the same person before it that was not decided yet."""
    operator: Uid
    made_at: Moment
    ephemeral: Hex32
    sealed: Annotated[str, StringConstraints(max_length=12 * 1024 * 1024)]
    """What the edit is, for the hub alone."""
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]

    def head(self, gate: str) -> EditHead:
        return EditHead(
            self.uid,
            self.kind,
            self.person,
            self.base,
            self.after,
            gate,
            self.operator,
            self.made_at.isoformat(),
        )


class TakenOut(Out):
    taken: str
    """The uid of the edit; what is decided on it comes with the changes."""


class PictureIn(In):
    """A snapshot, sealed for the hub."""

    uid: Uid
    ephemeral: Hex32
    sealed: Annotated[str, StringConstraints(max_length=1_500_000)]


class PictureTakenOut(Out):
    taken: str
    kept: bool
    """Whether the hub keeps it: its settings may keep none, or no more of this gate today."""


EdgeEditState = Literal["waiting", "sent", "accepted", "refused"]


class EdgeEditOut(Out):
    uid: str
    kind: str
    person: str
    """uid."""
    operator: str
    made_at: datetime
    at_once: bool
    """It worked here before the hub decided."""
    state: EdgeEditState
    reason: str | None
    decided_at: datetime | None


FleetEditState = Literal["pending", "accepted", "refused"]


class FleetEditOut(Out):
    id: int
    uid: str
    kind: str
    gate: str
    operator: str
    person: str
    """uid."""
    person_id: int | None
    """Of who is known here."""
    name: str | None
    made_at: datetime
    received_at: datetime
    state: FleetEditState
    reason: str | None
    decided_by: str | None
    decided_at: datetime | None
    conflict: bool
    """The person was changed here after the version that the gate knew."""
    waits: int | None
    """The edit that has to be decided first."""
    wants: Mapping[str, Any] | None
    """Of one pending edit: what it is to change."""
    has: Mapping[str, Any] | None
    """What is there now."""

    @staticmethod
    def of(found: ReviewedEdit) -> FleetEditOut:
        values = {name: getattr(found.edit, name) for name in _OF_THE_EDIT}
        shown = {name: getattr(found, name) for name in _OF_THE_REVIEW}
        person = found.person
        return FleetEditOut(
            **values,
            **shown,
            person_id=None if person is None else person.id,
            name=None if person is None else person.name,
        )


_OF_THE_REVIEW = ("gate", "operator", "conflict", "waits", "wants", "has")
_OF_THE_EDIT = FleetEditOut.model_fields.keys() - {*_OF_THE_REVIEW, "person_id", "name"}


class AcceptIn(In):
    anyway: bool = False
    """Although the hub has changed the person since."""
    override: Annotated[Text, Field(min_length=3)] | None = None
    """Why the face may be another person's, too; admins only."""


class RefuseIn(In):
    reason: Text | None = None
    """What the operator reads at the gate."""
    erase: bool = False
    """Somebody who is new is forgotten for ever, at the gate as well."""


class AcknowledgedOut(Out):
    acknowledged: int
    restart: bool
    """The hub knows other rows of this chain: go on in a new one."""


STATUS_BYTES = 16_384


def _short(status: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(status, allow_nan=False)) > STATUS_BYTES:
        raise ValueError(f"more than {STATUS_BYTES} bytes")
    return status


class HeartbeatIn(In):
    model: (
        Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
        | None
    ) = None
    status: Annotated[dict[str, Any], Field(max_length=64), AfterValidator(_short)]


class HeartbeatOut(Out):
    now: datetime
    acknowledged: Mapping[str, int]
    """Of each chain, how far the hub has it."""
    hurry: bool
    """Another gate of the site waits for who passes."""


class WordOut(Out):
    seq: int
    uid: str | None
    """Of a person; null: everybody."""
    direction: Literal["entry", "exit"] | None
    """Of the last passage; null when there is none, or it was by the gate that asks."""
    utc: float | None
    """Seconds since 1970 on the clock of the gate that asks."""
    gate: str | None
    forgiven_utc: float | None
    """Entries until then do not count."""


class PresenceOut(Out):
    cursor: str
    complete: bool
    """Whom this does not name has not passed."""
    words: Sequence[WordOut]
    others: int | None
    """How many are inside whom the gate is not given."""


class ItemOut(Out):
    kind: str
    uid: str
    op: Literal["put", "gone", "erased"]
    sealed: str | None
    """Of `put`: the present state, for this gate alone."""


class ChangesOut(Out):
    cursor: str
    more: bool
    ephemeral: str
    """The public key (X25519, hex) that opens the items, with the gate's own."""
    items: Sequence[ItemOut]


class SnapshotOut(Out):
    cursor: str
    """Of the first page: where changes go on once all pages are applied."""
    after: str | None
    ephemeral: str
    items: Sequence[ItemOut]


class GateConfirmationOut(Out):
    gate: str
    state: str
    seen_at: datetime | None
    confirmed_at: datetime | None
    """When the gate said that the person is gone there; null: outstanding."""


class SetApartOut(Out):
    chain: str
    seq: int
    reason: str
    at: datetime
    row: Mapping[str, Any] | None
    """As it came; null where the journal has it, or where it told of a person."""
    private: Mapping[str, Mapping[str, Any]]
    """Whom the row speaks of and who acted, as far as the row commits to it."""


class FleetErasureOut(Out):
    uid: str
    erased_at: datetime
    closed_at: datetime | None
    """Since when only the number of gates that confirmed it is kept, and those that cannot."""
    confirmed: int
    outstanding: int
    gates: Sequence[GateConfirmationOut]
