"""A provider that hangs, or publishes what is no key, costs one refused sign-in and no more."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gated.config import OidcSettings
from gated.devices.clock import SystemClock
from gated.errors import ProviderFailed
from gated.oidc.provider import IdentityProvider, _published_keys
from tests.fixtures.dripping import HTTP, dripping
from tests.oidc.providers import CLIENT


def test_an_answer_that_comes_byte_by_byte_is_given_up() -> None:
    """Else four of them would hold the places of all who sign in."""
    with dripping(HTTP, most_s=4.0) as port:
        settings = OidcSettings(
            issuer=f"http://127.0.0.1:{port}", client_id=CLIENT, roles={"a": "admin"}
        )
        provider = IdentityProvider(settings, SystemClock(), answer_s=0.3)
        began = time.monotonic()
        with pytest.raises(ProviderFailed, match="no answer in time"):
            provider.endpoints()
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "keys", [["no key"], [7], [None], [[]], "no list", [{"kty": "RSA", "n": 7, "e": "AQAB"}]]
)
def test_what_is_no_key_is_refused(keys: Any) -> None:
    with pytest.raises(ProviderFailed, match="keys cannot be used"):
        _published_keys({"keys": keys})


def test_a_key_without_a_usable_name_is_passed_over() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": ["a", "list"]}
    assert _published_keys({"keys": [secret]}) == {}
