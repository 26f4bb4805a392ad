"""The gates of a hub: invited, joined, replaced, revoked; and whether a request comes from one."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from gated.core.chain import canonical
from gated.devices.clock import SystemClock
from gated.errors import (
    BadCredentials,
    BadSignature,
    ClockSkew,
    NotJoined,
    SourceError,
)
from gated.ports import Clock
from gated.services.obligations import moment
from gated.services.sync.codes import JoinCode, proof
from gated.services.sync.reported import Reported, reported
from gated.services.sync.rollouts import welcome as welcome_settings
from gated.services.sync.signing import (
    HEADER,
    SKEW_S,
    Opener,
    SignedRequest,
    answer_message,
    is_key,
    is_signed,
)
from gated.services.throttle import Throttle
from gated.services.tokens import digest_of
from gated.services.workspace import Workspace
from gated.storage import accounts, gates, rollouts
from gated.storage.accounts import NO_PASSWORD
from gated.storage.gates import GateRow, Wanted
from gated.storage.journal import Entry

INVITED_FOR = timedelta(days=1)
SILENT_AFTER = timedelta(minutes=5)
"""A gate says how it is every ten seconds."""

FREE_ATTEMPTS = 20

_NO_CREDENTIALS: Mapping[str, Any] = {
    "account_id": None,
    "sign_key": None,
    "seal_key": None,
    "invite": None,
    "invite_key": None,
    "invite_until": None,
}


_SAY_WHAT_IT_IS_GIVEN = frozenset({"name", "site", "groups", "everyone", "photos", "edits"})


@dataclass(frozen=True, slots=True)
class FleetGate:
    """A gate, the names of the groups that it carries, and the revision that it was given.

    wanted: number of the configuration; 0: none, its own file.
    """

    gate: GateRow
    groups: Sequence[str]
    wanted: int = 0

    @property
    def reported(self) -> Reported:
        """What the gate said of itself when it was last heard of."""
        return reported(self.gate.status)


@dataclass(frozen=True, slots=True)
class Joining:
    """What a gate tells to join. device: uid of its journal; keys are public, hex.

    token_digest: SHA-256 of a token of its own making, which the hub never sees before it is used.
    """

    invite: str
    device: str
    sign_key: str
    seal_key: str
    token_digest: str
    journal_key: str
    proof: str

    def told(self) -> dict[str, str]:
        """What the proof is about."""
        return {name: value for name, value in asdict(self).items() if name != "proof"}


@dataclass(frozen=True, slots=True)
class Caller:
    """A gate that has proved itself, and the signature by which its request is known."""

    gate: GateRow
    signature: str


class Fleet:
    """The gates of a workspace that is their hub; `actor` is who makes a change."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._workspace = workspace
        self._clock = clock
        self._throttle = Throttle(lambda: clock.now().mono)
        self._signer: Ed25519PrivateKey = workspace.keys.hub
        self._opener = Opener(workspace.keys.opening)
        self.hub_key = self._signer.public_key().public_bytes_raw().hex()

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """The fleet of a workspace, on the real clock."""
        return cls(workspace, SystemClock())

    # --- administration -----------------------------------------------------------------------

    def list_(
        self,
        *,
        state: str | None = None,
        site: str | None = None,
        q: str | None = None,
        sort: str = "name",
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[list[FleetGate], int]:
        """Gates, revoked ones too, and how many there are.

        state: invited, joined or revoked; silent: joined, and nothing was heard of it for
        `SILENT_AFTER`; troubled: joined, and it tells of alarms or problems.
        """
        wanted = Wanted(state, site, q, moment(self._clock.now()) - SILENT_AFTER)
        with self._workspace.database.read() as session:
            found, total = gates.page(session, wanted, sort, limit, offset)
            return _fleet_gates(session, found), total

    def get(self, id_: int) -> FleetGate:
        """One gate; NotFound."""
        with self._workspace.database.read() as session:
            return _with_groups(session, gates.get(session, id_))

    def by_name(self, name: str) -> FleetGate:
        """One gate by its name; NotFound."""
        with self._workspace.database.read() as session:
            return _with_groups(session, gates.by_name(session, name))

    def invite(
        self, name: str, site: str, wanted: Mapping[str, Any], *, actor: str
    ) -> tuple[FleetGate, str]:
        """Add a gate and give the code by which it joins, good once and for a day.

        wanted: `groups` (names), `everyone`, `photos`, `edits`. Conflict for a name that is taken,
        NotFound for a group that does not exist.
        """
        code = JoinCode.new(self.hub_key)
        rest = {k: v for k, v in wanted.items() if k != "groups"}
        with self._workspace.database.write() as session:
            gate = gates.add(session, name, site, **rest, status={}, feed=1, cursor=0)
            gates.set_groups(session, gate.id, wanted.get("groups", ()))
            gate = self._open_invitation(session, gate, code)
            self._record(session, "gate_invited", gate, actor)
            return _with_groups(session, gate), str(code)

    def update(self, id_: int, changes: Mapping[str, Any], *, actor: str) -> FleetGate:
        """Change name, site, groups, everyone, photos or edits; the gate is told everything anew.

        NotFound, Conflict.
        """
        columns = {k: v for k, v in changes.items() if k != "groups"}
        with self._workspace.database.write() as session:
            gate = gates.get(session, id_)
            if changes.keys() & _SAY_WHAT_IT_IS_GIVEN:
                columns["feed"] = gate.feed + 1
            gate = gates.update(session, id_, **columns)
            if "groups" in changes:
                gates.set_groups(session, id_, changes["groups"])
            self._record(session, "gate_changed", gate, actor)
            return _with_groups(session, gate)

    def replace(self, id_: int, *, actor: str) -> tuple[FleetGate, str]:
        """Void the gate's credentials and give a code for other hardware in its place. NotFound."""
        code = JoinCode.new(self.hub_key)
        with self._workspace.database.write() as session:
            gate = self._without_credentials(session, gates.get(session, id_))
            gate = self._open_invitation(session, gate, code)
            self._record(session, "gate_replaced", gate, actor)
            return _with_groups(session, gate), str(code)

    def revoke(self, id_: int, *, actor: str) -> FleetGate:
        """Void the gate's credentials at once. NotFound."""
        with self._workspace.database.write() as session:
            gate = self._without_credentials(session, gates.get(session, id_))
            self._record(session, "gate_revoked", gate, actor)
            return _with_groups(session, gate)

    def _open_invitation(self, session: Session, gate: GateRow, code: JoinCode) -> GateRow:
        until = moment(self._clock.now()) + INVITED_FOR
        values = {"invite": code.invite, "invite_key": code.key, "invite_until": until}
        return gates.update(session, gate.id, **values)

    def _without_credentials(self, session: Session, gate: GateRow) -> GateRow:
        now = moment(self._clock.now())
        # whoever comes in its place is given everything from the beginning
        if gate.account_id is not None:
            accounts.delete(session, gate.account_id)
        void = {**_NO_CREDENTIALS, "device": None, "revoked_at": now}
        void |= {"feed": gate.feed + 1, "cursor": 0}
        return gates.update(session, gate.id, **void)

    # --- joining ------------------------------------------------------------------------------

    def join(self, joining: Joining) -> dict[str, Any]:
        """Let in who knows the code of an open invitation; gives what it is, signed by the hub.

        BadCredentials; SourceError for keys that are none; Conflict when this hardware is another
        gate already.
        """
        self._throttle.attempt({"join": FREE_ATTEMPTS})
        _require_keys(joining.sign_key, joining.seal_key)
        now = self._clock.now()
        with self._workspace.database.write() as session:
            gate = self._invited(session, joining)
            account = accounts.add(session, f"gate-{gate.uid}", "device", NO_PASSWORD)
            accounts.set_token_digest(session, account.id, joining.token_digest)
            joined = {
                **_NO_CREDENTIALS,
                "account_id": account.id,
                "device": joining.device,
                "sign_key": joining.sign_key,
                "seal_key": joining.seal_key,
                "journal_key": joining.journal_key,
                "joined_at": moment(now),
                "revoked_at": None,
            }
            gate = gates.update(session, gate.id, **joined)
            welcome_settings(session, gate, moment(now))
            self._record(session, "gate_joined", gate, "join code")
        self._throttle.succeeded("join", "join")
        return self._welcome(gate, joining)

    def _invited(self, session: Session, joining: Joining) -> GateRow:
        found = gates.by_invite(session, joining.invite)
        if found is None:
            raise BadCredentials("the code is wrong, used or over: ask for another")
        gate, key = found
        right = hmac.compare_digest(proof(key, joining.told()), joining.proof)
        until = gate.invite_until
        if not right or until is None or moment(self._clock.now()) >= until:
            raise BadCredentials("the code is wrong, used or over: ask for another")
        return gate

    def _welcome(self, gate: GateRow, joining: Joining) -> dict[str, Any]:
        told = {"gate": gate.uid, "name": gate.name, "site": gate.site, "hub": self.hub_key}
        told["seal_key"] = self._opener.seal_key
        return {**told, "signature": self._signer.sign(welcome(joining.proof, told)).hex()}

    # --- requests -----------------------------------------------------------------------------

    def caller(self, token: str, request: tuple[str, str, bytes], header: str) -> Caller:
        """Which gate, that holds this token, has sent (method, target, body), as the header signs.

        NotJoined, BadSignature, ClockSkew.
        """
        with self._workspace.database.read() as session:
            gate = gates.by_token_digest(session, digest_of(token))
        if gate is None or gate.sign_key is None:
            raise NotJoined("this device is no gate of this hub: let it join first")
        at, _, signature = header.partition(".")
        if not (at.isdecimal() and len(at) < 12):
            raise BadSignature(f"a gate signs its requests in {HEADER}")
        method, target, body = request
        signed = SignedRequest(method, target, int(at), body)
        if not is_signed(gate.sign_key, signature, signed.message()):
            raise BadSignature("the request was not signed with the key of this gate")
        now = int(self._clock.now().utc)
        if abs(now - signed.at) > SKEW_S:
            raise ClockSkew(now)
        return Caller(gate, signature)

    def still(self, caller: Caller) -> Caller:
        """The same caller as the gate is now; NotJoined when its credentials are void meanwhile."""
        with self._workspace.database.read() as session:
            gate = gates.get(session, caller.gate.id)
        if gate.sign_key != caller.gate.sign_key:
            raise NotJoined("the credentials of this gate are void")
        return Caller(gate, caller.signature)

    def signature_of(self, caller: Caller, status: int, body: bytes) -> str:
        """The hub's signature of its answer to a caller."""
        return self._signer.sign(answer_message(caller.signature, status, body)).hex()

    def renew_keys(self, caller: Caller, keys: Mapping[str, str]) -> None:
        """Let other keys and another token stand for a gate; those before are void.

        SourceError for keys that are none; NotJoined when the gate was revoked meanwhile.
        """
        sign_key, seal_key = keys["sign_key"], keys["seal_key"]
        _require_keys(sign_key, seal_key)
        with self._workspace.database.write() as session:
            gate = gates.get(session, caller.gate.id)
            if gate.account_id is None or gate.sign_key != caller.gate.sign_key:
                raise NotJoined("the credentials of this gate are void")
            accounts.set_token_digest(session, gate.account_id, keys["token_digest"])
            gate = gates.update(session, gate.id, sign_key=sign_key, seal_key=seal_key)
            self._record(session, "gate_keys_renewed", gate, gate.name)

    def _record(self, session: Session, kind: str, gate: GateRow, actor: str) -> None:
        body = {"gate": gate.uid, "name": gate.name, "site": gate.site, "device": gate.device}
        entry = Entry(self._clock.now(), kind, body, {"actor": {"name": actor}})
        self._workspace.journal.append([entry], session)


def welcome(proof_: str, told: Mapping[str, Any]) -> bytes:
    """What the hub signs when a gate has joined."""
    return b"gated join\n" + canonical([proof_, dict(told)])


def _require_keys(sign_key: str, seal_key: str) -> None:
    if not (is_key(sign_key) and is_key(seal_key)):
        raise SourceError("sign_key and seal_key must be public keys of 32 bytes in hex")


def _with_groups(session: Session, gate: GateRow) -> FleetGate:
    return _fleet_gates(session, [gate])[0]


def _fleet_gates(session: Session, found: Sequence[GateRow]) -> list[FleetGate]:
    ids = [gate.id for gate in found]
    groups, given = gates.groups_of(session, ids), rollouts.given_to(session, ids)
    revisions = {id_: g.configuration_id or 0 for id_, g in given.items()}
    return [FleetGate(g, groups[g.id], revisions.get(g.id, 0)) for g in found]
