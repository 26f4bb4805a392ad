"""The keys under which cards, badges and PINs are stored: this machine's own, and its hub's.

A machine begins with one key, which is derived from its sealing key. The stored digest of a card is
HMAC-SHA256 under the first key, then HMAC of that under the second key, and so on. So a key can be
added although nobody knows the card numbers any more: `rotate` does that on a hub, and the gates
receive the new key. An attacker needs all of the keys to test a number against a digest.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from gated.access import credential_store
from gated.change import RULES, Change
from gated.database import change_feed
from gated.database import stored_settings as settings_store
from gated.workspace import Workspace

COUNT = "credential_keys"
FROM_HUB = "hub_credential_keys"
ALL = "all"
"""The uid of all keys together in the change feed."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """The result of a rotation. cards: cards and badges that now have the new key on top.

    pins: PINs, which keep the keys they were made with until they are set again.
    """

    keys: int
    cards: int
    pins: int


def own(workspace: Workspace, session: Session) -> list[bytes]:
    """Return the keys of this machine, oldest first."""
    count = settings_store.get(session, COUNT, 1)
    return [workspace.keys.for_credentials(n) for n in range(1, count + 1)]


def of_hub(workspace: Workspace, session: Session) -> list[bytes]:
    """Return the keys received from the hub, oldest first; none without a hub.

    Raises: SealError.
    """
    sealed = settings_store.get(session, FROM_HUB)
    if sealed is None:
        return []
    plain = workspace.keys.sealer.unseal(base64.b64decode(sealed), FROM_HUB)
    return [bytes.fromhex(key) for key in json.loads(plain)]


def keep_those_of_hub(workspace: Workspace, session: Session, keys: Iterable[bytes]) -> None:
    """Store the keys received from the hub, sealed."""
    plain = json.dumps([key.hex() for key in keys]).encode()
    sealed = workspace.keys.sealer.seal(plain, FROM_HUB)
    settings_store.set_(session, FROM_HUB, base64.b64encode(sealed).decode())


def digests(keys: Sequence[bytes], text: str) -> list[str]:
    """Return the digest of a text after the first key, after the second, and so on."""
    return list(itertools.accumulate(keys, _under, initial=text))[1:]


def rotate(change: Change, workspace: Workspace) -> Rotated:
    """Add a key, and digest all cards and badges that were given here once more."""
    change.touches(RULES)  # a credential that is given meanwhile waits for the new key
    session = change.session
    count = settings_store.get(session, COUNT, 1)
    settings_store.set_(session, COUNT, count + 1)
    key = workspace.keys.for_credentials(count + 1)
    change_feed.note(session, change_feed.CREDENTIAL_KEYS, [ALL])
    cards, pins = credential_store.rekey(session, count, lambda digest: _under(digest, key))
    body = {"keys": count + 1, "cards": cards, "pins_left": pins}
    change.record("credential_keys_rotated", body)
    return Rotated(count + 1, cards, pins)


def _under(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
