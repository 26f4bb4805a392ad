"""Passwords: the policy, the hashes, the upgrade of old ones."""

from __future__ import annotations

import bcrypt
import pytest

from gated.accounts.passwords import PasswordHasher, require_strong
from gated.config import AuthSettings
from gated.errors import WeakPassword

GOOD = "Correct-horse-battery-9"

SHIPPED = PasswordHasher.of(AuthSettings())
QUICK = PasswordHasher(1, 64)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short-one",
        "1234567890",
        "QWERTYUIOP",
        "Password123!",
        "aaaaaaaaaaaaaa",
        "abababababab",
        "Anna123456789",
        "x7" * 513,
    ],
)
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(WeakPassword):
        require_strong(password, "anna")


@pytest.mark.parametrize(
    "password", [GOOD, "der Zug kommt um neun", "ключ от двери", "x7" + "yz" * 9]
)
def test_long_passwords_of_any_kind_are_accepted(password: str) -> None:
    require_strong(password, "anna")
    assert QUICK.verify(password, QUICK.hash(password)) == (True, None)


def test_a_hash_is_salted_argon2id_within_the_memory_of_a_small_computer() -> None:
    first, second = SHIPPED.hash(GOOD), SHIPPED.hash(GOOD)
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert SHIPPED.verify(GOOD + "x", first) == (False, None)


def test_one_way_of_typing_a_letter_is_as_good_as_another() -> None:
    assert QUICK.verify("Schlu\u0308ssel-Bund", QUICK.hash("Schl\u00fcssel-Bund"))[0]


@pytest.mark.parametrize("password", [GOOD, "ü" * 50])
def test_bcrypt_is_verified_and_upgraded(password: str) -> None:
    stored = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    right, better = QUICK.verify(password, stored)
    assert right
    assert better is not None
    assert better.startswith("$argon2id$")
    assert QUICK.verify(password, better) == (True, None)
    assert QUICK.verify("wrong-" + password, stored) == (False, None)


@pytest.mark.parametrize("stored", ["", "plain text", "$2b$12$short", "$argon2id$v=19$m=1$x$y"])
def test_what_is_no_hash_opens_nothing(stored: str) -> None:
    assert QUICK.verify(GOOD, stored) == (False, None)


def test_a_null_character_opens_nothing() -> None:
    stored = bcrypt.hashpw(b"a", bcrypt.gensalt(4)).decode()
    assert QUICK.verify("a\0b", stored) == (False, None)


def test_the_hash_for_nobody_costs_what_a_new_one_costs_and_opens_nothing() -> None:
    for hasher in (SHIPPED, QUICK):
        new, nobodys = hasher.hash(GOOD).split("$"), hasher.nobodys.split("$")
        assert (nobodys[:4], len(nobodys[4]), len(nobodys[5])) == (
            new[:4],
            len(new[4]),
            len(new[5]),
        )
        assert hasher.verify(GOOD, hasher.nobodys) == (False, None)


def test_a_hash_of_another_cost_opens_and_is_made_anew() -> None:
    right, better = SHIPPED.verify(GOOD, QUICK.hash(GOOD))
    assert right
    assert better is not None
    assert SHIPPED.verify(GOOD, better) == (True, None)
