"""Bodies of requests and answers between a gate and its hub."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from gated.core.chain import FIRST_US, LAST_US
from gated.fleet.hub.collect import Batch, Head
from gated.fleet.wire.edits import EditHead
from gated.http.schemas import In, Moment, Out, Text
from gated.journal.stored_object import DEEPEST, shown_object_in

Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Uid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{1,64}$")]
Groups = Sequence[Text]
Edits = Literal["none", "pending", "at_once"]


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
    at_utc: Annotated[int, Field(ge=FIRST_US, le=LAST_US)]
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
    """The version of the person that the gate received."""
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


class AcknowledgedOut(Out):
    acknowledged: int
    restart: bool
    """The hub knows other rows of this chain: go on in a new one."""


STATUS_BYTES = 16_384


def _kept(status: dict[str, Any]) -> dict[str, Any]:
    """Return the status as it can be kept and shown; half a character is `?`. ValueError."""
    if _nests(status, DEEPEST):
        raise ValueError(f"more than {DEEPEST} values one in another")
    text = json.dumps(status, allow_nan=False)
    if len(text) > STATUS_BYTES:
        raise ValueError(f"more than {STATUS_BYTES} bytes")
    return shown_object_in(text)


def _nests(value: Any, most: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return most == 0 or any(_nests(one, most - 1) for one in inner)


class HeartbeatIn(In):
    model: (
        Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
        | None
    ) = None
    status: Annotated[dict[str, Any], Field(max_length=64), AfterValidator(_kept)]


class HeartbeatOut(Out):
    now: datetime
    acknowledged: Mapping[str, int]
    """Of each chain, how far the hub has it."""
    hurry: bool
    """Another gate of the site waits for who passes."""
    clock_trusted: bool = False
    """Whether the hub knows that `now` is right."""


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


class FeedSnapshotOut(Out):
    cursor: str
    """Of the first page: where changes go on once all pages are applied."""
    after: str | None
    ephemeral: str
    items: Sequence[ItemOut]
