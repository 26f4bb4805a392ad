"""This gate as the party that passkeys are for: its names, and whether an answer is true.

Web Authentication, Level 2. The names are those of the configuration: what a request says of
itself (`Host`, `Origin`) makes none of them wider. The checks are py_webauthn's, imported with the
first answer.
"""

from __future__ import annotations

import importlib.util
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gated.config import Settings
from gated.errors import ConfigError

ALGORITHMS = (-8, -7, -257)
"""Ed25519, ECDSA on P-256, RSA: COSE's numbers, the wanted ones first."""
FORMATS = ("none", "packed")
"""Attestations that browsers hand on when none is asked for; others are not even looked at."""
HTTPS_PORT = 443


class NotVerified(Exception):
    """An answer does not pass; the text is for the log."""


@dataclass(frozen=True, slots=True)
class RegisteredKey:
    """A key that an authenticator has made. credential_id, public_key (COSE): base64url."""

    credential_id: str
    public_key: str
    sign_count: int


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The party that asks for signatures. domain: the RP ID; origins: where its pages are."""

    domain: str
    origins: tuple[str, ...]
    name: str

    @classmethod
    def of(cls, settings: Settings) -> RelyingParty | None:
        """Make it of the settings; None without a domain. Raises: ConfigError."""
        domain = settings.passkeys.domain
        if domain is None:
            return None
        if importlib.util.find_spec("webauthn") is None:
            raise ConfigError("passkeys.domain: pip install 'gated[passkeys]', or leave it out")
        origins = settings.passkeys.origins or _usual(domain, settings.api.port)
        return cls(domain, origins, settings.gate.name)

    def verify_registration(self, given: Mapping[str, Any], challenge: str) -> RegisteredKey:
        """Check what a browser gives as a new passkey, in WebAuthn's JSON. Raises: NotVerified."""
        try:
            import webauthn
            from webauthn.helpers import parse_attestation_object

            _require_own_page(given)
            attestation = parse_attestation_object(_bytes(given["response"]["attestationObject"]))
            if str(getattr(attestation.fmt, "value", attestation.fmt)) not in FORMATS:
                raise NotVerified("an attestation that nobody asked for")
            found: Any = webauthn.verify_registration_response(
                credential=dict(given),
                expected_challenge=_bytes(challenge),
                expected_rp_id=self.domain,
                expected_origin=list(self.origins),
                require_user_verification=True,
            )
        except NotVerified:
            raise
        except Exception as error:  # whatever a stranger's bytes make the parsers raise
            raise _not_verified(error) from None
        key, id_ = found.credential_public_key, found.credential_id
        return RegisteredKey(text_of(id_), text_of(key), int(found.sign_count))

    def verify_assertion(self, given: Mapping[str, Any], challenge: str, public_key: str) -> int:
        """Check an answer, in WebAuthn's JSON; the authenticator's count. Raises: NotVerified."""
        try:
            import webauthn

            _require_own_page(given)
            found: Any = webauthn.verify_authentication_response(
                credential=dict(given),
                expected_challenge=_bytes(challenge),
                expected_rp_id=self.domain,
                expected_origin=list(self.origins),
                credential_public_key=_bytes(public_key),
                credential_current_sign_count=0,  # compared in the row, with the change of it
                require_user_verification=True,
            )
        except NotVerified:
            raise
        except Exception as error:  # whatever a stranger's bytes make the parsers raise
            raise _not_verified(error) from None
        return int(found.new_sign_count)


def _usual(domain: str, port: int) -> tuple[str, ...]:
    """Return where pages of this domain are when nobody says: here, or behind a proxy."""
    ports = ("",) if port == HTTPS_PORT else ("", f":{port}")
    schemes = ("https", "http") if domain == "localhost" else ("https",)
    return tuple(f"{scheme}://{domain}{at}" for scheme in schemes for at in ports)


def _require_own_page(given: Mapping[str, Any]) -> None:
    from webauthn.helpers import parse_client_data_json

    if parse_client_data_json(_bytes(given["response"]["clientDataJSON"])).cross_origin:
        raise NotVerified("asked for by a page inside another site's")


def _not_verified(error: Exception) -> NotVerified:
    """Tell what the library says, which may quote a stranger: short and on one line."""
    return NotVerified(f"{type(error).__name__}: {' '.join(str(error).split())[:200]!r}")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text_of(raw: bytes) -> str:
    """Return bytes in base64url without padding."""
    return urlsafe_b64encode(raw).decode().rstrip("=")
