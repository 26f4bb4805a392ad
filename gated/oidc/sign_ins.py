"""Sign-ins that are under way at the provider: begun here, and ended in the same browser.

What has to be known again at the end travels in a sealed cookie: nothing is kept here, and several
processes of a hub may share a browser's steps. PKCE (RFC 7636) and `nonce` tie code and token to
this sign-in, `state` and the cookie tie the answer to the browser that began it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gated.accounts.accounts import Accounts
from gated.accounts.external import ProvenSubject
from gated.accounts.sealed_cookie import SealedCookies
from gated.config import OidcSettings
from gated.core.roles import Role
from gated.core.text import clean_code
from gated.errors import NotFound, SignInRefused, TextRefused
from gated.oidc.provider import IdentityProvider
from gated.ports import Clock
from gated.workspace import Workspace

LASTS_S = 600
"""So long somebody may take at the provider."""

STRENGTH = (Role.ADMIN, Role.AUDITOR, Role.OPERATOR, Role.VIEWER, Role.SELF)
"""The first of these counts for who has several."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The address that the browser goes to, and the cookie that it brings back."""

    location: str
    cookie: str


class CompanySignIns:
    """Begins and ends sign-ins at the provider of the settings.

    What seals the cookies is derived of the key of the tokens. Any thread may call.
    """

    def __init__(self, workspace: Workspace, accounts: Accounts) -> None:
        self._settings: OidcSettings = workspace.settings.oidc
        self._auth = workspace.settings.auth
        self._accounts = accounts
        self._clock: Clock = workspace.clock
        key = accounts.derived_key(b"gated company sign-in")
        self._cookies = SealedCookies(key, workspace.clock, LASTS_S)
        self._provider: IdentityProvider | None = None

    @property
    def label(self) -> str | None:
        """The text of the button; None where there is no provider."""
        return self._settings.label if self._settings.issuer is not None else None

    def begin(self, redirect_uri: str, *, again: bool = False) -> Begun:
        """Begin a sign-in. again: the provider shall ask for the password, whatever it remembers.

        Raises: NotFound without a provider, ProviderFailed, ConfigError.
        """
        known = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
        digest = hashlib.sha256(known["verifier"].encode()).digest()
        asked = {
            "state": known["state"],
            "nonce": known["nonce"],
            "code_challenge": urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
            # with max_age a provider has to say when the password was given
            "max_age": str(0 if again else int(self._auth.session_hours * 3600)),
            **({"prompt": "login"} if again else {}),
        }
        location = self._asked().authorization_url(redirect_uri, asked)
        kept = {**known, "uri": redirect_uri, "at": self._cookies.now(), "again": again}
        return Begun(location, self._cookies.sealed(kept))

    def end(self, given: Mapping[str, str], cookie: str | None, address: str) -> tuple[str, int]:
        """Return the token of who has signed in, and its life in seconds.

        given: the query that the provider sent the browser back with.
        Raises: NotFound, SignInRefused, ProviderFailed, Throttled.
        """
        provider, kept = self._asked(), self._opened(cookie)
        if not hmac.compare_digest(given.get("state", "").encode(), kept["state"].encode()):
            raise SignInRefused("the answer is not that of this browser's sign-in: begin again")
        if given.get("iss", provider.issuer) != provider.issuer:
            raise SignInRefused("another provider than the one that was asked has answered")
        if "error" in given:
            raise SignInRefused(f"the provider says {given['error'][:100]!r}")
        self._accounts.attempt_from(address)
        claims = provider.claims(
            given.get("code", ""), kept["verifier"], kept["nonce"], kept["uri"]
        )
        subject = self._subject(provider.issuer, claims)
        return self._accounts.sign_in_proven(subject, address, self._signed_in_at(claims, kept))

    def _asked(self) -> IdentityProvider:
        if self._settings.issuer is None:
            raise NotFound("no company sign-in is set up here (oidc.issuer)")
        if self._provider is None:
            self._provider = IdentityProvider(self._settings, self._clock)
        return self._provider

    def _opened(self, cookie: str | None) -> dict[str, Any]:
        kept = self._cookies.opened(cookie)
        if kept is None:
            raise SignInRefused("this browser has not begun to sign in: begin again")
        if not self._cookies.is_fresh(kept["at"]):
            raise SignInRefused("the sign-in took too long: begin again")
        return kept

    def _signed_in_at(self, claims: Mapping[str, Any], kept: Mapping[str, Any]) -> float:
        """Time at which the password was given at the provider, as it says; never later than now.

        Without its word a sign-in is too old for the door unless it was to ask for the password.
        """
        now, auth_time = self._clock.now().utc, claims.get("auth_time")
        if isinstance(auth_time, int | float) and not isinstance(auth_time, bool):
            return min(now, float(auth_time))
        return now if kept["again"] else now - (self._auth.door_confirmation_s or 0.0)

    def _subject(self, issuer: str, claims: Mapping[str, Any]) -> ProvenSubject:
        role = self._role(claims)
        name = claims.get(self._settings.username_claim)
        code = claims.get(self._settings.person_claim or "")
        try:
            username = clean_code(name, "username") if isinstance(name, str) else ""
        except TextRefused as error:
            raise SignInRefused(
                f"the provider's {self._settings.username_claim}: {error}"
            ) from None
        if not username:
            raise SignInRefused(f"the provider does not tell {self._settings.username_claim}")
        personnel_code = code if isinstance(code, str) and code else None
        return ProvenSubject(issuer, str(claims["sub"]), username, role, personnel_code)

    def _role(self, claims: Mapping[str, Any]) -> Role:
        """The strongest role that the settings give to what the claim says; nobody has one else."""
        found: Any = claims
        for part in self._settings.roles_claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        said = [found] if isinstance(found, str) else found if isinstance(found, list) else []
        roles = {
            self._settings.roles[s]
            for s in said
            if isinstance(s, str) and s in self._settings.roles
        }
        for role in STRENGTH:
            if role.value in roles:
                return role
        raise SignInRefused(
            f"nothing in the provider's {self._settings.roles_claim} gives a role here (oidc.roles)"
        )
