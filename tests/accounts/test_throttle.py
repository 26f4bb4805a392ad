"""The delay grows, has an end, and cannot be got round."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.accounts.throttle import FORGET_AFTER_S, LONGEST_DELAY_S, Throttle
from gated.devices.clock import ManualClock
from gated.errors import Throttled

KEYS = {"account anna": 3, "address 10.0.0.1": 5}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def throttle(clock: ManualClock) -> Throttle:
    return Throttle(lambda: clock.now().mono)


def refused_for(throttle: Throttle, keys: dict[str, int]) -> float:
    """Seconds to wait, 0 when the attempt was let through."""
    try:
        throttle.attempt(keys)
    except Throttled as error:
        return error.retry_after
    return 0.0


def test_the_first_attempts_are_free_then_the_delay_doubles_up_to_a_minute(
    throttle: Throttle, clock: ManualClock
) -> None:
    delays = []
    for _ in range(12):
        delays.append(refused_for(throttle, KEYS))
        clock.advance(delays[-1])
        if delays[-1]:
            assert refused_for(throttle, KEYS) == 0.0
    assert delays == [0, 0, 0, 1, 2, 4, 8, 16, 32, LONGEST_DELAY_S, LONGEST_DELAY_S, 60]


def test_a_refused_attempt_does_not_lengthen_the_delay(
    throttle: Throttle, clock: ManualClock
) -> None:
    for _ in range(3):
        throttle.attempt(KEYS)
    assert [refused_for(throttle, KEYS) for _ in range(50)] == [1.0] * 50
    clock.advance(1.0)
    assert refused_for(throttle, KEYS) == 0.0


def test_many_names_from_one_address_are_slowed_down(throttle: Throttle) -> None:
    waits = [refused_for(throttle, {f"account {n}": 3, "address 10.0.0.1": 5}) for n in range(10)]
    assert waits == [0] * 5 + [1.0] * 5
    assert refused_for(throttle, {"account 0": 3, "address 10.0.0.2": 5}) == 0.0


def test_one_account_from_many_addresses_is_slowed_down(throttle: Throttle) -> None:
    waits = [refused_for(throttle, {"account anna": 3, f"address {n}": 5}) for n in range(5)]
    assert waits == [0, 0, 0, 1.0, 1.0]


def test_success_forgets_the_account_but_not_what_the_address_did_to_others(
    throttle: Throttle,
) -> None:
    for n in range(4):
        throttle.attempt({f"account {n}": 3, "address 10.0.0.1": 5})
    for _ in range(20):
        throttle.attempt(KEYS)
        throttle.succeeded(forget="account anna", forgive="address 10.0.0.1")
    assert refused_for(throttle, KEYS) == 0.0
    assert refused_for(throttle, KEYS) == 1.0


def test_it_forgets_after_a_while(throttle: Throttle, clock: ManualClock) -> None:
    while refused_for(throttle, KEYS) == 0.0:
        pass
    clock.advance(FORGET_AFTER_S)
    assert [refused_for(throttle, KEYS) for _ in range(3)] == [0, 0, 0]


def test_attempts_at_the_same_time_are_not_all_free(throttle: Throttle) -> None:
    start = threading.Barrier(16)
    passed = []

    def guess() -> None:
        start.wait()
        passed.append(refused_for(throttle, {"account anna": 3}) == 0.0)

    threads = [threading.Thread(target=guess) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed.count(True) == 3


def test_its_memory_is_bounded() -> None:
    throttle = Throttle(lambda: 0.0, size=10)
    for n in range(1000):
        throttle.attempt({f"account {n}": 3})
    assert len(throttle._records) == 10


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 2000)), max_size=60))
def test_no_wait_is_longer_than_a_minute_and_waiting_it_out_helps(
    steps: list[tuple[str, float]],
) -> None:
    clock = ManualClock()
    throttle = Throttle(lambda: clock.now().mono)
    for key, pause in steps:
        wait = refused_for(throttle, {key: 2})
        assert 0.0 <= wait <= LONGEST_DELAY_S
        if wait:
            clock.advance(math.nextafter(wait, math.inf) + 1e-6)
            assert refused_for(throttle, {key: 2}) == 0.0
        clock.advance(pause)
