"""The membership of this gate in a hub: joining by a code, sealed storage, key renewal, leaving."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Self

from sqlalchemy.orm import Session

from gated.access import revocation
from gated.access.revocation import Revocation, RevokedState
from gated.change import Change
from gated.config import Settings
from gated.config.addresses import shown
from gated.core.values import moment
from gated.database import stored_settings as settings_store
from gated.database.hub_ownership import MEMBERSHIP as KEY
from gated.database.state_lock import is_locked
from gated.errors import Conflict, HubError, HubUnreachable, SealError
from gated.fleet.gate import edge_edit_store, replica
from gated.fleet.gate.client import ClientCredentials, HubAddress, HubClient
from gated.fleet.hub.fleet import welcome
from gated.fleet.wire.join_codes import JoinCode, fingerprint, proof
from gated.fleet.wire.signing import GateKeys, is_signed
from gated.journal import outbox
from gated.journal.pruned_ranges import own_chains
from gated.live.hub_contact import STALE, Contact
from gated.ports import Clock
from gated.workspace import Workspace

RENEW_AFTER = timedelta(days=30)
JOINING = "sync_joining"
"""Under this name the keys are stored with which this gate asks to join, until it has."""


@dataclass(frozen=True, slots=True)
class Member:
    """The membership as a gate keeps it; keys and seeds are hex.

    hub: the hub's key; hub_seal: for what only the hub may read. next_seed: announced, not
    confirmed.
    """

    url: str
    hub: str
    hub_seal: str
    gate: str
    name: str
    site: str
    seed: str
    renewed_at: str
    next_seed: str | None = None
    pin: str | None = None
    """SHA-256 (hex) of the key of the hub's certificate, where somebody has accepted it by hand."""

    @property
    def credentials(self) -> ClientCredentials:
        return ClientCredentials(GateKeys(bytes.fromhex(self.seed)), self.hub)


@dataclass(frozen=True, slots=True)
class HubStanding:
    """The standing of a gate with its hub.

    backlog: rows that the hub does not have. contact: as the gate noted it last, and `running`
    whether it still does. revoked: that the hub said so.
    """

    member: Member
    backlog: int
    contact: Contact | None
    running: bool
    revoked: RevokedState | None

    @property
    def state(self) -> str:
        """connected, failing, revoked, or unknown while no gate runs here."""
        if self.revoked is not None:
            return "revoked"
        if not self.running or self.contact is None:
            return "unknown"
        return "failing" if self.contact.failures else "connected"

    def as_dict(self) -> dict[str, Any]:
        """Return the state as values for JSON, without keys."""
        contact = None if self.contact is None else self.contact.as_dict()
        revoked = self.revoked
        return {
            "hub": self.member.url,
            "name": self.member.name,
            "site": self.member.site,
            "state": self.state,
            "last_contact": contact and contact["last_contact"],
            "backlog": self.backlog,
            "failures": contact["failures"] if contact and self.running else {},
            "revoked_at": revoked and revoked.since.isoformat(),
            "faces_until": revoked and revoked.faces_end and revoked.faces_end.isoformat(),
        }


class Membership:
    """The membership of a workspace in a fleet; `actor` is who makes a change."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._workspace = workspace
        self._clock = clock

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """The membership of a workspace, on the real clock."""
        return cls(workspace, workspace.clock)

    def find(self) -> Member | None:
        """The present membership; None for a gate on its own. SealError after a change of keys."""
        with self._workspace.database.read() as session:
            stored = settings_store.get(session, KEY)
        if stored is None:
            return None
        return Member(**settings_store.fields_of(Member, self._opened(stored, KEY)))

    def client(self, member: Member) -> HubClient:
        """A connection to the hub of this member."""
        address = hub_address(self._workspace.settings, member.url, member.pin)
        return HubClient(address, member.credentials)

    def join(
        self, url: str, code: str, *, actor: str, again: bool = False, pin: str | None = None
    ) -> Member:
        """Join the hub at an address; the code is used up by it, for anybody but this gate.

        The keys are stored before the hub hears of them: whoever did not get its answer asks again
        with the same code, which is then taken for the same request.

        A gate that its hub has revoked may join anew; another one that belongs to a hub only with
        `again`. pin: digest of the key of a certificate that was accepted by hand.
        SourceError for what is no code; Conflict when this gate belongs to a hub;
        HubUnreachable, also when the one who answers is not the hub that gave the code; HubError.
        """
        revoked = Revocation(self._workspace, self._clock).find() is not None
        before = self.find()
        if before is not None and not (again or revoked):
            raise Conflict(
                "this gate belongs to a hub already: `gated sync leave` ends that, and --again "
                "joins anew"
            )
        join_code = JoinCode.read(code)
        seed = self._seed_for(join_code)
        address = hub_address(self._workspace.settings, url, pin)
        payload = self._request(join_code, GateKeys(seed))
        client = HubClient(address)
        try:
            answer = client.post("/api/sync/join", payload)
        finally:
            client.close()
        member = _member(url, seed, join_code, payload["proof"], answer, self._now())
        member = replace(member, pin=pin)
        with self._workspace.change(actor, self._clock) as change:
            self._store(change.session, member)
            settings_store.set_(change.session, JOINING, None)
            revocation.end(change.session)
            if before is not None and before.gate != member.gate:
                # signed for the gate that this one was: the hub would take them for forgeries
                edge_edit_store.abandon(change.session, self._now())
            _record(change, "hub_joined", member)
        return member

    def standing(self) -> HubStanding | None:
        """Return how this gate stands with its hub, as the running gate noted it; None without a
        hub."""
        member = self.find()
        if member is None:
            return None
        with self._workspace.database.read() as session:
            waiting = outbox.backlog(session, self._workspace.journal.gate_uid())
        state_dir = self._workspace.settings.storage.state_dir
        noted = Contact.read(state_dir)
        running = noted is not None and self._now() - noted.at < STALE and is_locked(state_dir)
        revoked = Revocation(self._workspace, self._clock).find()
        return HubStanding(member, waiting, noted, running, revoked)

    def leave(self, *, actor: str) -> None:
        """Forget the hub and its operators; what else came from it stays.

        Conflict for a gate on its own.
        """
        member = self.find()
        if member is None:
            raise Conflict("this gate belongs to no hub")
        with self._workspace.change(actor, self._clock) as change:
            session = change.session
            revocation.end(session)
            settings_store.set_(session, KEY, None)
            replica.drop_operators(session)
            edge_edit_store.abandon(session, self._now())
            _record(change, "hub_left", member)

    # --- other keys ---------------------------------------------------------------------------

    def due(self, member: Member) -> bool:
        """Return whether the keys are old enough to be renewed, or a renewal was cut off."""
        if member.next_seed is not None:
            return True
        return self._now() - datetime.fromisoformat(member.renewed_at) >= RENEW_AFTER

    def renew(self, client: HubClient, member: Member) -> Member:
        """Let other keys stand for this gate, and for the client; HubError.

        The new seed is stored before the hub hears of it: whichever answer is lost, one of the two
        is right, and the next try finds out which.
        """
        seed = member.next_seed or GateKeys.new_seed().hex()
        at = self._now().isoformat()
        renewed = replace(member, seed=seed, next_seed=None, renewed_at=at)
        with self._workspace.database.write() as session:
            self._store(session, replace(member, next_seed=seed))
        client.credentials = member.credentials
        try:
            self._announce(client, renewed)
        except HubError as error:
            if error.status != HTTPStatus.UNAUTHORIZED or member.next_seed is None:
                raise
            self._announce_again(client, member, renewed)
        client.credentials = renewed.credentials
        with self._workspace.change("sync", self._clock) as change:
            self._store(change.session, renewed)
            _record(change, "hub_keys_renewed", renewed)
        return renewed

    def finish_renewal(self, client: HubClient, member: Member) -> Member:
        """Complete a renewal that was cut off, before the client says anything else. HubError."""
        return member if member.next_seed is None else self.renew(client, member)

    # --- inside -------------------------------------------------------------------------------

    @staticmethod
    def _announce(client: HubClient, renewed: Member) -> None:
        client.post("/api/sync/keys", renewed.credentials.keys.public())

    def _announce_again(self, client: HubClient, member: Member, renewed: Member) -> None:
        """Announce the new keys with the new keys: the hub may know no others any more."""
        client.credentials = renewed.credentials
        try:
            self._announce(client, renewed)
        except HubError:
            client.credentials = member.credentials
            raise

    def _seed_for(self, code: JoinCode) -> bytes:
        """Return the seed with which this gate asks to join by a code, each time the same."""
        with self._workspace.database.write() as session:
            asked = self._asked(session)
            if asked.get("invite") == code.invite:
                return bytes.fromhex(asked["seed"])
            seed = GateKeys.new_seed()
            asked = {"invite": code.invite, "seed": seed.hex()}
            settings_store.set_(session, JOINING, self._sealed(asked, JOINING))
        return seed

    def _asked(self, session: Session) -> Mapping[str, str]:
        """Return the invitation and the seed of the request before; nothing when it is sealed with
        keys that this machine does not have."""
        stored = settings_store.get(session, JOINING)
        try:
            return {} if stored is None else self._opened(stored, JOINING)
        except SealError:
            return {}

    def _request(self, code: JoinCode, keys: GateKeys) -> dict[str, str]:
        payload = {
            "invite": code.invite,
            "device": self._workspace.journal.gate_uid(),
            **keys.public(),
            "journal_key": self._first_key(),
        }
        return {**payload, "proof": proof(code.key, payload)}

    def _first_key(self) -> str:
        """The key of what is sent first: the later ones follow by the journal's own word."""
        journal = self._workspace.journal
        with self._workspace.database.read() as session:
            chains = own_chains(session, journal.gate_uid())
            return journal.key_for(session, chains[0]) if chains else journal.public_key

    def _now(self) -> datetime:
        return moment(self._clock.now())

    def _store(self, session: Session, member: Member) -> None:
        settings_store.set_(session, KEY, self._sealed(asdict(member), KEY))

    def _sealed(self, values: Mapping[str, Any], key: str) -> str:
        """Seal what is stored under a key of the settings."""
        sealed = self._workspace.keys.sealer.seal(json.dumps(values).encode(), key)
        return base64.b64encode(sealed).decode()

    def _opened(self, stored: str, key: str) -> Any:
        """Return what `_sealed` sealed. Raises: SealError after a change of keys."""
        return json.loads(self._workspace.keys.sealer.unseal(base64.b64decode(stored), key))


def _record(change: Change, kind: str, member: Member) -> None:
    body = {"gate": member.gate, "name": member.name, "hub": fingerprint(member.hub)}
    change.record(kind, body)


def hub_address(settings: Settings, url: str, pin: str | None = None) -> HubAddress:
    """Return where the hub is; `sync.hub_url` moves a gate that has joined under another
    address."""
    sync = settings.sync
    return HubAddress(sync.hub_url or url, sync.ca_file, sync.insecure, pin)


def _member(
    url: str, seed: bytes, code: JoinCode, proof_: str, answer: Any, now: datetime
) -> Member:
    """HubUnreachable unless the answer comes from the hub whose fingerprint the code has."""
    try:
        payload = {k: str(v) for k, v in answer.items() if k != "signature"}
        hub = payload["hub"]
        known = fingerprint(hub) == code.fingerprint
        if not known or not is_signed(hub, str(answer["signature"]), welcome(proof_, payload)):
            raise HubUnreachable(f"{shown(url)} is not the hub that gave this code")
        values = payload["seal_key"], payload["gate"], payload["name"], payload["site"]
    except (AttributeError, KeyError, TypeError):
        raise HubUnreachable(f"{shown(url)} is no hub") from None
    at = now.astimezone(UTC).isoformat()
    return Member(url.rstrip("/"), hub, *values, seed.hex(), at)
