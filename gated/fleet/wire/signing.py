"""Keys and signatures between gate and hub.

    request  X-Gated-Signature: TIME.HEX   Ed25519 by the gate over method, target, time, body
    answer   X-Gated-Signature: HEX        Ed25519 by the hub over the request's signature, status
                                           and body, so that an answer belongs to one request
    envelope                               ephemeral X25519, HKDF-SHA256, AES-256-GCM: opened by
                                           who it is made for alone, whoever ends the TLS

Both sides know each other's key since the gate joined. A request may be repeated by whoever sees it
within `SKEW_S`: all requests mean the same the second time.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gated.accounts.tokens import TOKEN_MARK, digest_of
from gated.core.chain import canonical
from gated.errors import SealError
from gated.vault.sealing import KEY, NONCE, derived

SKEW_S = 300
"""How far the time in a signature may be from the hub's; a gate learns the hub's time from it."""


class GateKeys:
    """The keys of a gate and its token; all follow from one seed of 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        self._signer = Ed25519PrivateKey.from_private_bytes(derived(seed, b"gated gate signing"))
        self._opener = Opener(derived(seed, b"gated gate sealing"))
        self.sign_key = self._signer.public_key().public_bytes_raw().hex()
        self.seal_key = self._opener.seal_key
        secret = base64.urlsafe_b64encode(derived(seed, b"gated gate token")).decode()
        self.token = TOKEN_MARK + secret.rstrip("=")

    def public(self) -> dict[str, str]:
        """Return the public part of the credentials: public keys, and the digest of the token."""
        return {
            "sign_key": self.sign_key,
            "seal_key": self.seal_key,
            "token_digest": digest_of(self.token),
        }

    @staticmethod
    def new_seed() -> bytes:
        return secrets.token_bytes(KEY)

    def sign(self, message: bytes) -> str:
        """The signature, hex."""
        return self._signer.sign(message).hex()

    def opener(self, ephemeral: str) -> Envelopes:
        """Return what opens the envelopes of one sender; SealError when that names no key."""
        return self._opener.envelopes(ephemeral)


class Opener:
    """A receiver of envelopes; seal_key: the public key (X25519, hex) that they are made for."""

    def __init__(self, seed: bytes) -> None:
        self._key = X25519PrivateKey.from_private_bytes(seed)
        self.seal_key = self._key.public_key().public_bytes_raw().hex()

    def envelopes(self, ephemeral: str) -> Envelopes:
        """Return what opens the envelopes of one sender; SealError when that names no key."""
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(_unhex(ephemeral)))
        except ValueError:
            raise SealError("the envelope names no key of its sender") from None
        return Envelopes(ephemeral, self.seal_key, shared)


class Envelopes:
    """Envelopes between one ephemeral key and one receiver."""

    def __init__(self, ephemeral: str, seal_key: str, shared: bytes) -> None:
        self.ephemeral = ephemeral
        purpose = b"gated envelope" + _unhex(ephemeral) + _unhex(seal_key)
        self._aead = AESGCM(derived(shared, purpose))

    @staticmethod
    def to(seal_key: str) -> Envelopes:
        """Envelopes for who has this public key (hex), under a fresh ephemeral key."""
        own = X25519PrivateKey.generate()
        shared = own.exchange(X25519PublicKey.from_public_bytes(_unhex(seal_key)))
        return Envelopes(own.public_key().public_bytes_raw().hex(), seal_key, shared)

    def seal(self, plain: bytes, context: str) -> str:
        """Base64 of nonce and ciphertext; only the receiver opens it, and only in this context."""
        nonce = secrets.token_bytes(NONCE)
        sealed = self._aead.encrypt(nonce, plain, context.encode())
        return base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, context: str) -> bytes:
        """Return what was sealed; SealError when it was altered or made for others."""
        try:
            blob = base64.b64decode(sealed, validate=True)
            return self._aead.decrypt(blob[:NONCE], blob[NONCE:], context.encode())
        except (InvalidTag, ValueError):
            raise SealError("an envelope is damaged, or is for another receiver") from None


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as a gate signs it; target: path and query as they are sent."""

    method: str
    target: str
    at: int
    body: bytes

    def message(self) -> bytes:
        digest = hashlib.sha256(self.body).hexdigest()
        return b"gated sync request\n" + canonical([self.method, self.target, self.at, digest])


def answer_message(request_signature: str, status: int, body: bytes) -> bytes:
    """Return what the hub signs of its answer to a request."""
    digest = hashlib.sha256(body).hexdigest()
    return b"gated sync answer\n" + canonical([request_signature, status, digest])


def is_signed(public_key: str, signature: str, message: bytes) -> bool:
    """Return whether an Ed25519 signature (hex) of the message fits the public key (hex)."""
    try:
        Ed25519PublicKey.from_public_bytes(_unhex(public_key)).verify(_unhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_key(text: str) -> bool:
    """Return whether the text can be a public key (hex) of either kind that an exchange accepts."""
    try:
        Envelopes.to(text)
    except ValueError:
        return False
    return True


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text)
