"""An authenticator in software, and the browser before it: what they answer, and how they lie."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

UP, UV, BACKED_UP, ATTESTED = 0x01, 0x04, 0x18, 0x40
"""Flags of authenticator data (Web Authentication, 6.1)."""

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def cbor(value: Any) -> bytes:
    """Write what attestations need of CBOR (RFC 8949): integers, bytes, text, maps."""
    match value:
        case bool():
            raise TypeError
        case int() if value >= 0:
            return _head(0, value)
        case int():
            return _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
    pairs = b"".join(cbor(k) + cbor(v) for k, v in value.items())
    return _head(5, len(value)) + pairs


def _head(kind: int, number: int) -> bytes:
    for width, code in ((1, 24), (2, 25), (4, 26)):
        if number < 24:
            return bytes([kind << 5 | number])
        if number < 1 << 8 * width:
            return bytes([kind << 5 | code]) + number.to_bytes(width, "big")
    raise ValueError(number)


@dataclass
class Credential:
    """One passkey. count: None for an authenticator that does not count."""

    id: bytes
    key: Key
    user_handle: str
    count: int | None

    def sign(self, data: bytes) -> bytes:
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(data, ec.ECDSA(hashes.SHA256()))
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(data)

    def cose(self) -> bytes:
        """Return the public key as COSE has it (RFC 9053)."""
        public = self.key.public_key()
        if isinstance(public, ec.EllipticCurvePublicKey):
            at = public.public_numbers()
            x, y = (n.to_bytes(32, "big") for n in (at.x, at.y))
            return cbor({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            return cbor({1: 3, 3: -257, -1: numbers.n.to_bytes(256, "big"), -2: b"\1\0\1"})
        assert isinstance(public, ed25519.Ed25519PublicKey)
        return cbor({1: 1, 3: -8, -1: 6, -2: public.public_bytes_raw()})


def es256() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Authenticator:
    """Holds passkeys, and answers as a browser at `origin` would."""

    origin: str
    counts: bool = True
    passkeys: list[Credential] = field(default_factory=list)

    def create(
        self, options: Mapping[str, Any], *, key: Key | None = None, **lies: Any
    ) -> dict[str, Any]:
        """Make a passkey; WebAuthn's RegistrationResponseJSON."""
        made = Credential(
            secrets.token_bytes(32),
            key or es256(),
            options["user"]["id"],
            0 if self.counts else None,
        )
        self.passkeys.append(made)
        attested = bytes(16) + len(made.id).to_bytes(2, "big") + made.id + made.cose()
        rp_id = lies.get("rp_id", options["rp"]["id"])
        flags = lies.get("flags", UP | UV) | ATTESTED
        data = _authenticator_data(rp_id, flags, made.count or 0) + attested
        statement = {"fmt": "none", "attStmt": {}, **lies.get("statement", {})}
        return {
            **_named(made),
            "response": {
                "clientDataJSON": self._client("webauthn.create", options["challenge"], lies),
                "attestationObject": text(cbor({**statement, "authData": data})),
                "transports": ["internal"],
            },
        }

    def sign(
        self, options: Mapping[str, Any], passkey: Credential | None = None, **lies: Any
    ) -> dict[str, Any]:
        """Answer with a passkey, the newest or this one; WebAuthn's AuthenticationResponseJSON."""
        used = passkey or self.passkeys[-1]
        if used.count is not None:
            used.count += 1
        rp_id, flags = lies.get("rp_id", options["rpId"]), lies.get("flags", UP | UV)
        data = _authenticator_data(rp_id, flags, lies.get("count", used.count) or 0)
        client = self._client("webauthn.get", options["challenge"], lies)
        signature = used.sign(data + hashlib.sha256(raw(client)).digest())
        return {
            **_named(used),
            "response": {
                "clientDataJSON": client,
                "authenticatorData": text(data),
                "signature": text(lies.get("signature", signature)),
                "userHandle": lies.get("user_handle", used.user_handle),
            },
        }

    def _client(self, kind: str, challenge: str, lies: Mapping[str, Any]) -> str:
        told = {
            "type": lies.get("type", kind),
            "challenge": lies.get("challenge", challenge),
            "origin": lies.get("origin", self.origin),
            "crossOrigin": lies.get("cross_origin", False),
        }
        return text(json.dumps(told).encode())


def _named(passkey: Credential) -> dict[str, Any]:
    return {
        "id": text(passkey.id),
        "rawId": text(passkey.id),
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
    }


def _authenticator_data(rp_id: str, flags: int, count: int) -> bytes:
    return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + count.to_bytes(4, "big")
