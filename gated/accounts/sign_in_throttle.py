"""Throttles tries of passwords by account and address, so that nobody keeps an owner out.

Only wrong tries from the same address make somebody wait long. Tries of a whole network and of all
strangers at one account are paced, not stopped; and who has signed in to the account from an
address before is in neither crowd.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from gated.accounts.familiar_addresses import FamiliarAddresses
from gated.accounts.throttle import PaceLimit, Throttle

FREE_PER_PAIR = 5
"""Wrong tries at one account from one address that cost no time."""
FREE_PER_ADDRESS = 20
"""Wrong tries from one address, at whatever accounts."""
NETWORK_BURST, NETWORK_EVERY_S = 60, 1.0
"""Of a network (IPv4 /24, IPv6 /48): so many at once, then one in so many seconds."""
STRANGERS_BURST, STRANGERS_EVERY_S = 50, 0.2
"""At one account, from everywhere where nobody has signed in to it."""


class SignInThrottle:
    """Counts tries before their outcome is known; clock: monotonic seconds. Bounded memory."""

    def __init__(self, clock: Callable[[], float], familiar: FamiliarAddresses) -> None:
        self._tries = Throttle(clock)
        self._networks = PaceLimit(clock, NETWORK_BURST, NETWORK_EVERY_S)
        self._strangers = PaceLimit(clock, STRANGERS_BURST, STRANGERS_EVERY_S)
        self._familiar = familiar

    def attempt(self, account: str, address: str) -> None:
        """Count a try. Raises: Throttled, and then it is not counted."""
        here = network(address)
        pair = f"{account} {here}"
        if self._familiar.knows(account, here):
            self._tries.attempt({pair: FREE_PER_PAIR})
            return
        self._tries.attempt({pair: FREE_PER_PAIR, here: FREE_PER_ADDRESS})
        try:
            self._networks.act(network(address, wide=True))
            self._strangers.act(account)
        except Exception:
            self._tries.forgive(pair, here)
            raise

    def succeeded(self, account: str, address: str) -> None:
        """The try was right: whoever it was is at home at this address from now on."""
        here = network(address)
        self._tries.succeeded(forget=f"{account} {here}", forgive=here)
        self._familiar.add(account, here)


def network(address: str, *, wide: bool = False) -> str:
    """An address as it is throttled: of IPv6 the /64, all of which one client can use.

    wide: the network around it that one owner often has, IPv4 /24 or IPv6 /48.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if parsed.version == 4 and not wide:
        return str(parsed)
    length = 24 if parsed.version == 4 else 48 if wide else 64
    return str(ipaddress.ip_network((parsed, length), strict=False))
