"""The keys under which cards, badges and PINs are stored: this machine's own, and its hub's.

A machine begins with one key, which follows from its sealing key. What is stored of a card is an
HMAC-SHA256 under the first key, of that one under the second, and so on. So another key can be put
on top of what nobody knows any more: `rotate` does that on a hub, and tells the gates. Whoever
has some of the keys can find nothing in what one more has made.
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
"""The uid under which the feed speaks of them."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """The outcome for the credentials. cards: cards and badges that have the new key as well; pins:
    that keep the keys they were made with until they are set again."""

    keys: int
    cards: int
    pins: int


def own(workspace: Workspace, session: Session) -> list[bytes]:
    """The keys of this machine, oldest first."""
    count = settings_store.get(session, COUNT, 1)
    return [workspace.keys.for_credentials(n) for n in range(1, count + 1)]


def of_hub(workspace: Workspace, session: Session) -> list[bytes]:
    """The keys that the hub has given, oldest first; none for a gate on its own. SealError."""
    sealed = settings_store.get(session, FROM_HUB)
    if sealed is None:
        return []
    plain = workspace.keys.sealer.unseal(base64.b64decode(sealed), FROM_HUB)
    return [bytes.fromhex(key) for key in json.loads(plain)]


def keep_those_of_hub(workspace: Workspace, session: Session, keys: Iterable[bytes]) -> None:
    """Store the keys that the hub has given, sealed."""
    plain = json.dumps([key.hex() for key in keys]).encode()
    sealed = workspace.keys.sealer.seal(plain, FROM_HUB)
    settings_store.set_(session, FROM_HUB, base64.b64encode(sealed).decode())


def digests(keys: Sequence[bytes], text: str) -> list[str]:
    """Return what is stored of a text after the first key, after the second, and so on."""
    return list(itertools.accumulate(keys, _under, initial=text))[1:]


def rotate(change: Change, workspace: Workspace) -> Rotated:
    """Put one more key on top, over all cards and badges that were given here."""
    change.touches(RULES)  # whoever gives a credential meanwhile waits
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
