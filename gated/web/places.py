"""Decides who may keep a connection, and for how long: rules without sockets.

Theory of operation: a connection is a stranger's until a request on it has proved who makes it.
Strangers have some of the places, each address few of them; the rest is for those who are known.
When a bound is reached the connection goes that has been waiting for its client longest, of the
address that has most: so somebody new can always come and prove who they are, and an answer that is
being computed is not cut off. Places are only touched in the event loop, but `recognise`.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

HEAD_S = 10.0
"""A request's head is complete by then, the handshake of TLS included."""

KEPT_STRANGER_S = 10.0
"""A stranger's connection at rest."""

KEPT_S = 75.0
"""One of somebody known at rest: longer than gates are silent, as a new one costs a handshake."""

STALLED_S = 60.0
"""A client that reads nothing of its answer."""

LONGEST_DELAY_S = 5.0
"""A request waits so long for its turn; more is refused (429)."""

ENDING_S = 2.0
"""For the last bytes of an answer, while what still comes is thrown away."""

REMEMBERED = 4096
FAMILIAR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one server. rate, burst: connections and requests of strangers of one address a second;
    ten times as many where somebody was known within the hour."""

    total: int = 256
    strangers: int = 192
    of_address: int = 64
    of_owner: int = 64
    rate: float = 50.0
    burst: float = 300.0

    @classmethod
    def of_hub(cls) -> Bounds:
        """Gates keep two connections each, and come back all at once, maybe through one address."""
        return cls(4096, 1024, 512, 64, 1000.0, 4000.0)


@dataclass(slots=True, eq=False)
class ConnectionPlace:
    """One connection. waiting: for its client, since `since`; else an answer is being made."""

    address: str
    since: float
    proxied: bool = False
    owner: str = ""
    waiting: bool = True
    resting: bool = False
    """Between requests."""
    stalled: bool = False
    """The client does not read."""
    ending: bool = False
    cut: Callable[[], None] = field(default=lambda: None)

    def overdue(self, now: float) -> bool:
        """Return whether its client has had its time."""
        waited = now - self.since
        if self.ending:
            return waited >= ENDING_S
        if self.stalled:
            return waited >= STALLED_S
        if not self.waiting:
            return False
        if self.resting:
            return waited >= (KEPT_S if self.owner else KEPT_STRANGER_S)
        return waited >= HEAD_S

    def turn(self, now: float, **state: bool) -> None:
        """Go over into another state, of which nothing has lasted yet."""
        self.waiting = self.resting = self.stalled = False
        for name, value in state.items():
            setattr(self, name, value)
        self.since = now

    @property
    def removable(self) -> bool:
        return self.waiting or self.stalled or self.ending


class Places:
    """All connections of one server, within its bounds."""

    def __init__(
        self, bounds: Bounds, clock: Callable[[], float], proxies: Iterable[str] = ()
    ) -> None:
        self.bounds = bounds
        self._clock = clock
        self._trusted = Trusted(proxies)
        self._lock = threading.Lock()
        self.taken: dict[ConnectionPlace, None] = {}
        """In the order of their coming."""
        self._strangers: Counter[str] = Counter()
        self._owners: Counter[str] = Counter()
        self._familiar: OrderedDict[str, float] = OrderedDict()
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.refused = 0

    def enter(self, peer: str) -> ConnectionPlace | None:
        """A place for a connection from this address; None when there is none."""
        proxied = peer in self._trusted
        place = ConnectionPlace(group_of(peer), self._clock(), proxied)
        if not self._let_in(place):
            self.refused += 1
            return None
        self.taken[place] = None
        if not proxied:
            self._strangers[place.address] += 1
        return place

    def _let_in(self, place: ConnectionPlace) -> bool:
        if not place.proxied:
            if self._overdrawn(place.address, 0.0) > 0:
                return False
            if self._strangers[place.address] >= self.bounds.of_address:
                if not self._remove_of({place.address}):
                    return False
            elif self._strangers.total() >= self.bounds.strangers and not self._remove_of_most():
                return False
        return len(self.taken) < self.bounds.total or self._remove_of_most()

    def _remove_of_most(self) -> bool:
        """Make room by a stranger of the address that has most, or of a proxy."""
        held = Counter(p.address for p in self.taken if not p.owner and p.removable)
        return bool(held) and self._remove_of({held.most_common(1)[0][0]})

    def _remove_of(self, addresses: set[str]) -> bool:
        mine = (p for p in self.taken if p.address in addresses and not p.owner and p.removable)
        oldest = min(mine, key=lambda p: p.since, default=None)
        if oldest is None:
            return False
        self.leave(oldest)
        oldest.cut()
        return True

    def leave(self, place: ConnectionPlace) -> None:
        """Note that the connection has ended; may be called more than once."""
        with self._lock:
            if place not in self.taken:
                return
            del self.taken[place]
            self._uncount(place)

    def _uncount(self, place: ConnectionPlace) -> None:
        counter, key = self._strangers, place.address
        if place.owner:
            counter, key = self._owners, place.owner
        elif place.proxied:
            return
        counter[key] -= 1
        if counter[key] <= 0:
            del counter[key]

    def recognise(self, place: ConnectionPlace, owner: str) -> None:
        """A request has proved who makes it: the connection is kept, as one of so many of theirs.

        Any thread.
        """
        with self._lock:
            if place not in self.taken:
                return
            if not place.proxied:
                self._familiar[place.address] = self._clock()
                self._familiar.move_to_end(place.address)
                while len(self._familiar) > REMEMBERED:
                    self._familiar.popitem(last=False)
            if place.owner == owner or self._owners[owner] >= self.bounds.of_owner:
                return
            self._uncount(place)
            place.owner = owner
            self._owners[owner] += 1

    def forget(self, place: ConnectionPlace) -> None:
        """A request has shown that nobody known makes it."""
        with self._lock:
            if place in self.taken and place.owner:
                self._uncount(place)
                place.owner = ""
                if not place.proxied:
                    self._strangers[place.address] += 1

    def delay_s(self, place: ConnectionPlace) -> float:
        """Return the seconds that a stranger's next request waits for its turn; 0 for others."""
        if place.owner or place.proxied:
            return 0.0
        return self._overdrawn(place.address, LONGEST_DELAY_S)

    def _overdrawn(self, address: str, patience_s: float) -> float:
        """Take one from what an address may do; the seconds until that is there.

        What would take longer than patience_s is refused and not taken, so that a flood does not
        keep its address out afterwards.
        """
        now = self._clock()
        often = 10.0 if now - self._familiar.get(address, -FAMILIAR_S) < FAMILIAR_S else 1.0
        rate, burst = self.bounds.rate * often, self.bounds.burst * often
        spent, at = self._spent.pop(address, (0.0, now))
        spent = max(0.0, spent - (now - at) * rate)
        missing = max(0.0, spent + 1 - burst)
        self._spent[address] = (spent + (missing / rate <= patience_s), now)
        while len(self._spent) > REMEMBERED:
            self._spent.popitem(last=False)
        return missing / rate

    def cut_overdue(self) -> None:
        """End what has had its time."""
        now = self._clock()
        for place in [p for p in self.taken if p.overdue(now)]:
            place.cut()


class Trusted:
    """Addresses and networks of proxies; `*` is everybody."""

    def __init__(self, proxies: Iterable[str]) -> None:
        self._all = False
        self._networks = []
        for proxy in proxies:
            self._all |= proxy == "*"
            try:
                self._networks.append(ipaddress.ip_network(proxy, strict=False))
            except ValueError:
                continue  # a name: nothing connects by one

    def __contains__(self, peer: str) -> bool:
        address = _address(peer)
        return self._all or (
            address is not None and any(address in network for network in self._networks)
        )


def group_of(peer: str) -> str:
    """Return whom an address stands for: itself, and in IPv6 the 64 bits that a line is given."""
    address = _address(peer)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address or peer)


def _address(peer: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
