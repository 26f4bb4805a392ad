"""That this gate belongs to a hub: joined by a code, kept sealed, its keys renewed, left again."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Self

from sqlalchemy.orm import Session

from gated.config import Settings
from gated.devices.clock import SystemClock
from gated.errors import Conflict, HubError, HubUnreachable
from gated.ports import Clock
from gated.services.obligations import moment
from gated.services.sync.client import Credentials, HubAddress, HubClient
from gated.services.sync.codes import JoinCode, fingerprint, proof
from gated.services.sync.fleet import welcome
from gated.services.sync.signing import GateKeys, is_signed
from gated.services.workspace import Workspace
from gated.storage import edge_edits, mirror
from gated.storage import settings as settings_store
from gated.storage.journal import Entry
from gated.storage.mirror import MEMBERSHIP as KEY

RENEW_AFTER = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Member:
    """What a gate keeps of its membership; keys and seeds are hex.

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

    @property
    def credentials(self) -> Credentials:
        return Credentials(GateKeys(bytes.fromhex(self.seed)), self.hub)


class Membership:
    """The membership of a workspace in a fleet; `actor` is who makes a change."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._workspace = workspace
        self._clock = clock

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """The membership of a workspace, on the real clock."""
        return cls(workspace, SystemClock())

    def find(self) -> Member | None:
        """The present membership; None for a gate on its own. SealError after a change of keys."""
        with self._workspace.database.read() as session:
            stored = settings_store.get(session, KEY)
        if stored is None:
            return None
        plain = self._workspace.keys.sealer.unseal(base64.b64decode(stored), KEY)
        return Member(**json.loads(plain))

    def client(self, member: Member) -> HubClient:
        """A connection to the hub of this member."""
        return HubClient(hub_address(self._workspace.settings, member.url), member.credentials)

    def join(self, url: str, code: str, *, actor: str) -> Member:
        """Join the hub at an address; the code is used up by it.

        SourceError for what is no code; Conflict when this gate belongs to a hub; HubUnreachable,
        also when the one who answers is not the hub that gave the code; HubError.
        """
        if self.find() is not None:
            raise Conflict(
                "this gate belongs to a hub already: end that with `gated sync leave` first"
            )
        join_code = JoinCode.read(code)
        seed = GateKeys.new_seed()
        address = hub_address(self._workspace.settings, url)
        told = self._told(join_code, GateKeys(seed))
        client = HubClient(address)
        try:
            answer = client.post("/api/sync/join", told)
        finally:
            client.close()
        member = _member(url, seed, join_code, told["proof"], answer, self._now())
        with self._workspace.database.write() as session:
            self._store(session, member)
            self._record(session, "hub_joined", member, actor)
        return member

    def leave(self, *, actor: str) -> None:
        """Forget the hub and its operators; what else came from it stays.

        Conflict for a gate on its own.
        """
        member = self.find()
        if member is None:
            raise Conflict("this gate belongs to no hub")
        with self._workspace.database.write() as session:
            settings_store.set_(session, KEY, None)
            mirror.drop_operators(session)
            edge_edits.abandon(session, self._now())
            self._record(session, "hub_left", member, actor)

    # --- other keys ---------------------------------------------------------------------------

    def due(self, member: Member) -> bool:
        """Whether the keys are old enough to be renewed, or a renewal was cut off."""
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
        told = renewed.credentials.keys.public()
        try:
            client.post("/api/sync/keys", told)
        except HubError as error:
            if error.status != HTTPStatus.UNAUTHORIZED or member.next_seed is None:
                raise
            client.credentials = renewed.credentials
            client.post("/api/sync/keys", told)
        client.credentials = renewed.credentials
        with self._workspace.database.write() as session:
            self._store(session, renewed)
            self._record(session, "hub_keys_renewed", renewed, "sync")
        return renewed

    # --- inside -------------------------------------------------------------------------------

    def _told(self, code: JoinCode, keys: GateKeys) -> dict[str, str]:
        told = {
            "invite": code.invite,
            "device": self._workspace.journal.gate_uid(),
            **keys.public(),
            "journal_key": self._workspace.journal.public_key,
        }
        return {**told, "proof": proof(code.key, told)}

    def _now(self) -> datetime:
        return moment(self._clock.now())

    def _store(self, session: Session, member: Member) -> None:
        plain = json.dumps(asdict(member)).encode()
        sealed = self._workspace.keys.sealer.seal(plain, KEY)
        settings_store.set_(session, KEY, base64.b64encode(sealed).decode())

    def _record(self, session: Session, kind: str, member: Member, actor: str) -> None:
        body = {"gate": member.gate, "name": member.name, "hub": fingerprint(member.hub)}
        entry = Entry(self._clock.now(), kind, body, {"actor": {"name": actor}})
        self._workspace.journal.append([entry], session)


def hub_address(settings: Settings, url: str) -> HubAddress:
    """Where the hub is; `sync.hub_url` moves a gate that has joined under another address."""
    sync = settings.sync
    return HubAddress(sync.hub_url or url, sync.ca_file, sync.insecure)


def _member(
    url: str, seed: bytes, code: JoinCode, proof_: str, answer: Any, now: datetime
) -> Member:
    """HubUnreachable unless the answer comes from the hub whose fingerprint the code has."""
    try:
        told = {k: str(v) for k, v in answer.items() if k != "signature"}
        hub = told["hub"]
        known = fingerprint(hub) == code.fingerprint
        if not known or not is_signed(hub, str(answer["signature"]), welcome(proof_, told)):
            raise HubUnreachable(f"{url} is not the hub that gave this code")
        values = told["seal_key"], told["gate"], told["name"], told["site"]
    except (AttributeError, KeyError, TypeError):
        raise HubUnreachable(f"{url} is no hub") from None
    at = now.astimezone(UTC).isoformat()
    return Member(url.rstrip("/"), hub, *values, seed.hex(), at)
