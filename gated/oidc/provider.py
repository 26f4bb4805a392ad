"""The company's identity provider: what it says of itself, its tokens, and whether they are true.

OpenID Connect Core 1.0 and Discovery 1.0; PKCE as in RFC 7636. Everything that it answers is
bounded, and counts only when it is signed by a key that it publishes, for this client.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import jwt

from gated.config import OidcSettings
from gated.delivery.client_tls import UnusableFiles, client_tls, why_failed
from gated.delivery.connection import WatchedConnection
from gated.delivery.secret_files import read_secret
from gated.errors import ConfigError, ProviderFailed, SignInRefused
from gated.link.deadline import Deadline
from gated.ports import Clock

TIMEOUT_S = 5.0
"""To connect, for one read, and for a place among those who ask."""
ANSWER_S = 10.0
"""For all of an answer, so that nobody who sends byte by byte holds one of the places."""
LARGEST_ANSWER = 256 * 1024
KNOWN_FOR_S = 3600.0
"""So long what it has said of itself is not asked for again."""
ASKED_AGAIN_S = 5.0
"""So long one that has failed is not asked what it is: strangers may begin sign-ins."""
KEYS_AGAIN_S = 60.0
"""Keys are fetched anew for one that is not known, at most so often."""
ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""Kind of key -> algorithms. None with a shared key: who knows the client's secret could sign."""
CLOCKS_DIFFER_S = 120.0
LONGEST_S = 86_400.0
"""An ID token that would live longer is none that was made for one sign-in."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses that the provider says it has."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None


class IdentityProvider:
    """Asks one provider. Any thread may; at most `MOST_AT_ONCE` do at a time."""

    MOST_AT_ONCE = 4

    def __init__(self, settings: OidcSettings, clock: Clock, *, answer_s: float = ANSWER_S) -> None:
        if settings.issuer is None or settings.client_id is None:
            raise ConfigError("oidc needs an issuer and a client_id")
        self.issuer = settings.issuer
        self._client_id = settings.client_id
        self._settings = settings
        self._clock = clock
        self._answer_s = answer_s
        self._turn = threading.BoundedSemaphore(self.MOST_AT_ONCE)
        self._endpoints: tuple[float, Endpoints] | None = None
        self._failed_at = -ASKED_AGAIN_S
        self._keys: tuple[float, Mapping[str | None, jwt.PyJWK]] = (0.0, {})

    def authorization_url(self, redirect_uri: str, asked: Mapping[str, str]) -> str:
        """Return where a browser is sent to sign in. Raises: ProviderFailed."""
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(("openid", *self._settings.scopes)),
            **asked,
        }
        address = self.endpoints().authorization
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(query)}"

    def claims(self, code: str, verifier: str, nonce: str, redirect_uri: str) -> dict[str, Any]:
        """Exchange a code for the claims of who has signed in.

        Raises: SignInRefused (a code or token that is not for this sign-in), ProviderFailed.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self._client_id,
            "code_verifier": verifier,
        }
        answer = self._json(self.endpoints().token, form, self._authorization())
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise SignInRefused(f"the provider gives no ID token: {_said(answer)}")
        claims = self._verified(token, nonce)
        if self._settings.roles_claim.partition(".")[0] not in claims:
            claims = {**self._userinfo(answer.get("access_token"), claims["sub"]), **claims}
        return claims

    def endpoints(self) -> Endpoints:
        """Return what the provider says of itself, kept for an hour. Raises: ProviderFailed."""
        if self._endpoints is not None and time.monotonic() - self._endpoints[0] < KNOWN_FOR_S:
            return self._endpoints[1]
        if time.monotonic() - self._failed_at < ASKED_AGAIN_S:
            raise ProviderFailed("the provider has failed a moment ago: try again")
        try:
            self._endpoints = time.monotonic(), self._discovered()
        except ProviderFailed:
            self._failed_at = time.monotonic()
            raise
        return self._endpoints[1]

    def _discovered(self) -> Endpoints:
        document = self._json(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != self.issuer:
            name = str(document.get("issuer"))[:200]
            raise ProviderFailed(
                f"the provider calls itself {name!r}, and oidc.issuer is "
                f"{self.issuer!r}: write it as the provider does"
            )
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        found = [document.get(name) for name in names]
        for name, address in zip(names, found, strict=True):
            self._require_safe(name, address)
        userinfo = document.get("userinfo_endpoint")
        if userinfo is not None:
            self._require_safe("userinfo_endpoint", userinfo)
        return Endpoints(str(found[0]), str(found[1]), str(found[2]), userinfo)

    def _require_safe(self, name: str, address: object) -> None:
        parts = urlsplit(address) if isinstance(address, str) else urlsplit("")
        if parts.scheme == "https" and parts.hostname:
            return
        if parts.scheme == "http" and self.issuer.startswith("http:") and parts.hostname:
            return  # a provider on this machine, for a trial
        raise ProviderFailed(f"the provider's {name} is no address with https")

    def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        try:
            head = jwt.get_unverified_header(token)
            key = self._key(head.get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=ALGORITHMS.get(key.key_type or "", ()),
                audience=self._client_id,
                issuer=self.issuer,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub"],
                    # checked below, against the program's own clock
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            now, issued, ends = self._clock.now().utc, float(claims["iat"]), float(claims["exp"])
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError) as error:
            raise SignInRefused(f"the provider's ID token is not valid: {error}") from None
        if not now - CLOCKS_DIFFER_S < ends < now + LONGEST_S or issued > now + CLOCKS_DIFFER_S:
            raise SignInRefused("the provider's ID token is over, or the clocks differ")
        if claims.get("nonce") != nonce:
            raise SignInRefused("the provider's ID token is for another sign-in")
        audience = claims["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        if claims.get("azp", None if several else self._client_id) != self._client_id:
            raise SignInRefused("the provider's ID token is for another program")
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
            raise SignInRefused("the provider's ID token names nobody")
        return claims

    def _key(self, kid: str | None) -> jwt.PyJWK:
        fetched, keys = self._keys
        if kid not in keys and (not keys or time.monotonic() - fetched >= KEYS_AGAIN_S):
            document = self._json(self.endpoints().keys)
            keys = _published_keys(document)
            if len(keys) == 1:
                keys[None] = next(iter(keys.values()))
            self._keys = time.monotonic(), keys
        if kid not in keys:
            raise SignInRefused("the provider's ID token is signed by a key that it does not know")
        return keys[kid]

    def _userinfo(self, token: object, subject: str) -> dict[str, Any]:
        address = self.endpoints().userinfo
        if address is None or not isinstance(token, str):
            return {}
        document = self._json(address, headers={"Authorization": f"Bearer {token}"})
        if document.get("sub") != subject:
            raise SignInRefused("the provider tells of somebody else than has signed in")
        return document

    def _authorization(self) -> dict[str, str]:
        """The client's own secret, as RFC 6749 (2.3.1) wants it."""
        file = self._settings.client_secret_file
        if file is None:
            return {}
        secret = read_secret(file, 1).decode("utf-8", "replace")
        pair = f"{quote(self._client_id, safe='')}:{quote(secret, safe='')}"
        return {"Authorization": "Basic " + b64encode(pair.encode()).decode()}

    def _json(
        self,
        address: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Ask the provider; the object that it answers with. Raises: ProviderFailed."""
        if not self._turn.acquire(timeout=TIMEOUT_S):
            raise ProviderFailed("too many sign-ins wait for the provider: try again")
        try:
            status, body = self._fetch(address, form, headers or {})
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ProviderFailed(f"the provider does not answer: {why_failed(error)}") from None
        finally:
            self._turn.release()
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise ProviderFailed(f"the provider answers with {status} and no JSON object")
        if status == 400 and form is not None:
            raise SignInRefused(f"the provider refuses this sign-in: {_said(document)}")
        if status != 200:
            raise ProviderFailed(f"the provider answers with {status}: {_said(document)}")
        return document

    def _fetch(
        self, address: str, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        parts = urlsplit(address)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        body = None if form is None else urlencode(form)
        kind = {} if form is None else {"Content-Type": "application/x-www-form-urlencoded"}
        sent = {"Accept": "application/json", **kind, **headers}
        with Deadline(self._answer_s) as deadline:
            connection = WatchedConnection(
                parts.hostname or "",
                parts.port or (443 if parts.scheme == "https" else 80),
                self._tls() if parts.scheme == "https" else None,
                deadline,
            )
            try:
                connection.request("GET" if form is None else "POST", path, body, sent)
                answer = connection.getresponse()
                got = answer.read(LARGEST_ANSWER + 1)
            except (OSError, http.client.HTTPException):
                if deadline.is_over:
                    raise TimeoutError from None
                raise
            finally:
                connection.close()
        if deadline.is_over:  # what was read by then may be a part
            raise TimeoutError
        if len(got) > LARGEST_ANSWER:
            raise ValueError("its answer does not end")
        return answer.status, got

    def _tls(self) -> ssl.SSLContext:
        try:
            return client_tls(self._settings.ca_file, None, None)
        except UnusableFiles as error:
            raise ConfigError(f"oidc: {error}") from None


def _published_keys(document: Mapping[str, Any]) -> dict[str | None, jwt.PyJWK]:
    """Return the keys for signatures by their ids. Raises: ProviderFailed."""
    try:
        published = jwt.PyJWKSet.from_dict(dict(document)).keys
    except (jwt.PyJWTError, AttributeError, TypeError, ValueError) as error:
        # the library looks into whatever stands in the list
        raise ProviderFailed(f"the provider's keys cannot be used: {error}") from None
    usable = [key for key in published if key.public_key_use in (None, "sig")]
    return {k.key_id: k for k in usable if isinstance(k.key_id, str | None)}


def _said(document: Mapping[str, Any]) -> str:
    """Quote the error of an answer (RFC 6749, 5.2), short and on one line."""
    found = (document.get(name) for name in ("error", "error_description"))
    words = " ".join(text for text in found if isinstance(text, str)).split()
    return " ".join(words)[:200] or "without a reason"
