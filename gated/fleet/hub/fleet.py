"""The gates of a hub: invited, joined, replaced, revoked; and whether a request comes from one."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from gated.accounts.throttle import Throttle
from gated.accounts.tokens import digest_of
from gated.change import Change
from gated.core.chain import canonical
from gated.core.text import code_key
from gated.core.values import moment
from gated.database import account_store, limits
from gated.database.account_store import NO_PASSWORD
from gated.database.records import GateRow
from gated.database.tables import utcnow
from gated.errors import (
    BadCredentials,
    BadSignature,
    ClockSkew,
    NotJoined,
    SourceError,
)
from gated.fleet.hub import gate_store, rollout_store
from gated.fleet.hub.gate_store import Wanted
from gated.fleet.hub.rollouts import welcome as welcome_settings
from gated.fleet.hub.watched import KEY
from gated.fleet.wire.heartbeat import Reported, reported
from gated.fleet.wire.join_codes import JoinCode, proof
from gated.fleet.wire.signing import (
    SKEW_S,
    Opener,
    SignedRequest,
    answer_message,
    is_key,
    is_signed,
)
from gated.http.headers import HEADER
from gated.ports import Clock
from gated.workspace import Workspace

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


@dataclass(frozen=True, slots=True)
class FleetGate:
    """A gate, the names of the groups that it carries, and the revision that it was given.

    wanted: number of the configuration; 0: none, its own file.
    """

    gate: GateRow
    groups: Sequence[str]
    wanted: int = 0
    silent: bool = False
    """It has joined, and was not heard of for `SILENT_AFTER`."""

    @property
    def reported(self) -> Reported:
        """Return what the gate said of itself when it was last heard of."""
        return reported(self.gate.status)

    @property
    def troubles(self) -> tuple[str, ...]:
        """Return what is wrong: as the hub noticed, and as the gate says."""
        report = self.reported
        silent = ("silent",) if self.silent else ()
        return tuple(dict.fromkeys((*silent, *report.troubles, *report.problems, *report.alarms)))


@dataclass(frozen=True, slots=True)
class Joining:
    """The request of a gate to join. device: uid of its journal; keys are public, hex.

    token_digest: SHA-256 of a token of its own making, which the hub never sees before it is used.
    """

    invite: str
    device: str
    sign_key: str
    seal_key: str
    token_digest: str
    journal_key: str
    proof: str

    def payload(self) -> dict[str, str]:
        """Return what the proof is about."""
        return {name: value for name, value in asdict(self).items() if name != "proof"}

    def is_of(self, gate: GateRow) -> bool:
        """Return whether this gate has joined with the same request."""
        has_joined = gate.sign_key, gate.seal_key, gate.device, gate.journal_key
        return has_joined == (self.sign_key, self.seal_key, self.device, self.journal_key)


@dataclass(frozen=True, slots=True)
class Holder:
    """A gate whose token somebody has presented, and no more."""

    gate: GateRow


@dataclass(frozen=True, slots=True)
class GateCaller:
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
        return cls(workspace, workspace.clock)

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
        with self._workspace.database.read() as session:
            at = None if site is None else gate_store.sites_like(session, site)
            wanted = Wanted(state, at, q, moment(self._clock.now()) - SILENT_AFTER)
            found, total = gate_store.page(session, wanted, sort, limit, offset)
            return _fleet_gates(session, found), total

    def leads(self) -> bool:
        """Return whether any gate was ever invited here."""
        with self._workspace.database.read() as session:
            return gate_store.any_(session)

    def get(self, id_: int) -> FleetGate:
        """One gate; NotFound."""
        with self._workspace.database.read() as session:
            return _with_groups(session, gate_store.get(session, id_))

    def by_name(self, name: str) -> FleetGate:
        """One gate by its name; NotFound."""
        with self._workspace.database.read() as session:
            return _with_groups(session, gate_store.by_name(session, name))

    def invite(
        self, name: str, site: str, wanted: Mapping[str, Any], *, actor: str
    ) -> tuple[FleetGate, str]:
        """Add a gate and give the code by which it joins, good once and for a day.

        wanted: `groups` (names), `everyone`, `photos`, `edits`. Conflict for a name that is taken,
        NotFound for a group that does not exist.
        """
        code = JoinCode.new(self.hub_key)
        rest = {k: v for k, v in wanted.items() if k != "groups"}
        site = self._spelt(site)
        with self._workspace.change(actor, self._clock) as change:
            session = change.session
            limits.GATES.require_room(session)
            gate = gate_store.add(session, name, site, **rest, status={}, feed=1, cursor=0)
            gate_store.set_groups(session, gate.id, wanted.get("groups", ()))
            gate = self._open_invitation(session, gate, code)
            _record(change, "gate_invited", gate)
            return _with_groups(session, gate), str(code)

    def update(self, id_: int, changes: Mapping[str, Any], *, actor: str) -> FleetGate:
        """Change name, site, groups, everyone, photos or edits; the gate receives everything again.

        What is as it was changes nothing. NotFound, Conflict.
        """
        columns = {k: v for k, v in changes.items() if k != "groups"}
        if "site" in columns:
            columns["site"] = self._spelt(columns["site"])
        with self._workspace.change(actor, self._clock) as change:
            session = change.session
            gate = gate_store.get(session, id_)
            columns = {k: v for k, v in columns.items() if getattr(gate, k) != v}
            is_new = "groups" in changes and gate_store.set_groups(session, id_, changes["groups"])
            if not (columns or is_new):
                return _with_groups(session, gate)
            gate = gate_store.update(session, id_, **columns, feed=gate.feed + 1)
            _record(change, "gate_changed", gate)
            return _with_groups(session, gate)

    def replace(self, id_: int, *, actor: str) -> tuple[FleetGate, str]:
        """Void the gate's credentials and give a code for other hardware in its place. NotFound."""
        code = JoinCode.new(self.hub_key)
        with self._workspace.change(actor, self._clock) as change:
            session = change.session
            gate = self._without_credentials(session, gate_store.get(session, id_))
            gate = self._open_invitation(session, gate, code)
            _record(change, "gate_replaced", gate)
            return _with_groups(session, gate), str(code)

    def revoke(self, id_: int, *, actor: str) -> FleetGate:
        """Void the gate's credentials at once. NotFound."""
        with self._workspace.change(actor, self._clock) as change:
            session = change.session
            gate = self._without_credentials(session, gate_store.get(session, id_))
            _record(change, "gate_revoked", gate)
            return _with_groups(session, gate)

    def _spelt(self, site: str) -> str:
        """A site as this machine itself calls it, where it stands there too."""
        own = self._workspace.settings.gate.site
        return own if code_key(own) == code_key(site) else site

    def _open_invitation(self, session: Session, gate: GateRow, code: JoinCode) -> GateRow:
        until = moment(self._clock.now()) + INVITED_FOR
        values = {"invite": code.invite, "invite_key": code.key, "invite_until": until}
        return gate_store.update(session, gate.id, **values)

    def _without_credentials(self, session: Session, gate: GateRow) -> GateRow:
        now = moment(self._clock.now())
        # whoever comes in its place is given everything from the beginning
        if gate.account_id is not None:
            account_store.delete(session, gate.account_id)
        void = {**_NO_CREDENTIALS, "device": None, "revoked_at": now}
        void |= {"feed": gate.feed + 1, "cursor": 0}
        # what was noticed of the units before does not concern the one that comes
        void |= {"status": {k: v for k, v in gate.status.items() if k != KEY}, "troubled": False}
        return gate_store.update(session, gate.id, **void)

    # --- joining ------------------------------------------------------------------------------

    def join(self, joining: Joining) -> dict[str, Any]:
        """Let in who knows the code of an open invitation; gives what it is, signed by the hub.

        The same gate may ask again while the code lasts, as the answer may have been lost.
        BadCredentials; SourceError for keys that are none; Conflict when this hardware is another
        gate already.
        """
        self._throttle_wrong(joining)
        _require_keys(joining.sign_key, joining.seal_key)
        now = self._clock.now()
        with self._workspace.change("join code", self._clock) as change:
            session = change.session
            gate = self._invited(session, joining)
            if gate.account_id is not None:
                return self._welcome(gate, joining)
            account = account_store.add(session, f"gate-{gate.uid}", "device", NO_PASSWORD)
            account_store.set_token_digest(session, account.id, joining.token_digest)
            joined = {
                "account_id": account.id,
                "device": joining.device,
                "sign_key": joining.sign_key,
                "seal_key": joining.seal_key,
                "journal_key": joining.journal_key,
                "joined_at": moment(now),
                "revoked_at": None,
            }
            gate = gate_store.update(session, gate.id, **joined)
            welcome_settings(session, gate, moment(now))
            _record(change, "gate_joined", gate)
        return self._welcome(gate, joining)

    def _throttle_wrong(self, joining: Joining) -> None:
        """Slow down who guesses; the right code (80 random bits) is never kept waiting."""
        try:
            with self._workspace.database.read() as session:
                self._invited(session, joining, locked=False)
        except BadCredentials:
            self._throttle.attempt({"join": FREE_ATTEMPTS})
            raise

    def _invited(self, session: Session, joining: Joining, *, locked: bool = True) -> GateRow:
        found = gate_store.by_invite(session, joining.invite, locked=locked)
        if found is None:
            raise BadCredentials("the code is wrong, used or over: ask for another")
        gate, key = found
        right = hmac.compare_digest(proof(key, joining.payload()), joining.proof)
        until = gate.invite_until
        if gate.account_id is not None and not joining.is_of(gate):
            right = False  # the code is good once: keys that nobody else has show who asks again
        if not right or until is None or moment(self._clock.now()) >= until:
            raise BadCredentials("the code is wrong, used or over: ask for another")
        return gate

    def _welcome(self, gate: GateRow, joining: Joining) -> dict[str, Any]:
        welcomed = {"gate": gate.uid, "name": gate.name, "site": gate.site, "hub": self.hub_key}
        welcomed["seal_key"] = self._opener.seal_key
        return {**welcomed, "signature": self._signer.sign(welcome(joining.proof, welcomed)).hex()}

    # --- requests -----------------------------------------------------------------------------

    def holder(self, token: str) -> Holder:
        """The gate that holds this token; NotJoined."""
        with self._workspace.database.read() as session:
            gate = gate_store.by_token_digest(session, digest_of(token))
        if gate is None or gate.sign_key is None:
            raise NotJoined("this device is no gate of this hub: let it join first")
        return Holder(gate)

    def proved(self, holder: Holder, request: tuple[str, str, bytes], header: str) -> GateCaller:
        """The gate as who has sent (method, target, body), as the header signs.

        BadSignature, ClockSkew.
        """
        gate = holder.gate
        at, _, signature = header.partition(".")
        if not (at.isdecimal() and len(at) < 12):
            raise BadSignature(f"a gate signs its requests in {HEADER}")
        method, target, body = request
        signed = SignedRequest(method, target, int(at), body)
        if not (gate.sign_key and is_signed(gate.sign_key, signature, signed.message())):
            raise BadSignature("the request was not signed with the key of this gate")
        now = int(self._clock.now().utc)
        if abs(now - signed.at) > SKEW_S:
            raise ClockSkew(now)
        return GateCaller(gate, signature)

    def still(self, caller: GateCaller) -> GateCaller:
        """The same caller as the gate is now; NotJoined when its credentials are void meanwhile."""
        with self._workspace.database.read() as session:
            gate = gate_store.get(session, caller.gate.id)
        if gate.sign_key != caller.gate.sign_key:
            raise NotJoined("the credentials of this gate are void")
        return GateCaller(gate, caller.signature)

    def signature_of(self, caller: GateCaller, status: int, body: bytes) -> str:
        """The hub's signature of its answer to a caller."""
        return self.signed(caller.signature, status, body)

    def signed(self, asked: str, status: int, body: bytes) -> str:
        """The hub's signature of its answer to a request that bore the signature `asked`."""
        return self._signer.sign(answer_message(asked, status, body)).hex()

    def renew_keys(self, caller: GateCaller, keys: Mapping[str, str]) -> None:
        """Let other keys and another token stand for a gate; those before are void.

        SourceError for keys that are none; NotJoined when the gate was revoked meanwhile.
        """
        sign_key, seal_key = keys["sign_key"], keys["seal_key"]
        _require_keys(sign_key, seal_key)
        with self._workspace.change(caller.gate.name, self._clock) as change:
            session = change.session
            gate = gate_store.get(session, caller.gate.id)
            if gate.account_id is None or gate.sign_key != caller.gate.sign_key:
                raise NotJoined("the credentials of this gate are void")
            account_store.set_token_digest(session, gate.account_id, keys["token_digest"])
            gate = gate_store.update(session, gate.id, sign_key=sign_key, seal_key=seal_key)
            _record(change, "gate_keys_renewed", gate)


def _record(change: Change, kind: str, gate: GateRow) -> None:
    body = {"gate": gate.uid, "name": gate.name, "site": gate.site, "device": gate.device}
    change.record(kind, body)


def welcome(proof_: str, welcomed: Mapping[str, Any]) -> bytes:
    """Return what the hub signs when a gate has joined."""
    return b"gated join\n" + canonical([proof_, dict(welcomed)])


def _require_keys(sign_key: str, seal_key: str) -> None:
    if not (is_key(sign_key) and is_key(seal_key)):
        raise SourceError("sign_key and seal_key must be public keys of 32 bytes in hex")


def _with_groups(session: Session, gate: GateRow) -> FleetGate:
    return _fleet_gates(session, [gate])[0]


def _fleet_gates(session: Session, found: Sequence[GateRow]) -> list[FleetGate]:
    ids = [gate.id for gate in found]
    groups, given = gate_store.groups_of(session, ids), rollout_store.given_to(session, ids)
    revisions = {id_: g.configuration_id or 0 for id_, g in given.items()}
    return [FleetGate(g, groups[g.id], revisions.get(g.id, 0), _is_silent(g)) for g in found]


def _is_silent(gate: GateRow) -> bool:
    unheard = gate.seen_at is None or gate.seen_at < utcnow() - SILENT_AFTER
    return gate.state == "joined" and unheard
