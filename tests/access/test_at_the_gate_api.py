"""Where a request of the kiosk has to come from."""

from __future__ import annotations

import pytest
from fastapi import Request

from gated.core.roles import Principal, Role
from gated.errors import NotAllowed
from gated.http.callers import at_the_gate

KIOSK = Principal(1, "kiosk", Role.DEVICE, None)


def request(address: str, *headers: str) -> Request:
    named = [(name.encode(), b"127.0.0.1") for name in headers]
    return Request({"type": "http", "client": (address, 5), "headers": named})


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may(address: str) -> None:
    assert at_the_gate(request(address), KIOSK) == KIOSK


@pytest.mark.parametrize(
    "address", ["10.0.0.5", "192.168.1.2", "fe80::1", "::ffff:10.0.0.5", "unknown", ""]
)
def test_others_may_not(address: str) -> None:
    with pytest.raises(NotAllowed):
        at_the_gate(request(address), KIOSK)


def test_nobody_may_ask_through_this_machine() -> None:
    for name in ("x-forwarded-for", "forwarded", "via", "x-real-ip", "x-forwarded-host"):
        with pytest.raises(NotAllowed):
            at_the_gate(request("127.0.0.1", name), KIOSK)
