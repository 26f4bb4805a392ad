from __future__ import annotations

from gated.core.passage import Passage, Passages

ann, bob = Passage(1, 1, 0.0), Passage(2, 2, 0.0)


def test_without_a_contact_nobody_waits() -> None:
    passages = Passages(contact=False)
    assert passages.granted(ann, 3.0, leaf_open=False) == []
    assert passages.until is None


def test_who_waits_has_passed_when_the_leaf_is_opened() -> None:
    passages = Passages(contact=True)
    passages.granted(ann, 3.0, leaf_open=False)
    passages.granted(bob, 4.0, leaf_open=False)
    assert passages.opened() == [ann, bob]
    assert passages.until is None
    assert passages.given_up(9.0) == []


def test_who_is_let_in_while_the_leaf_stands_open_has_passed() -> None:
    assert Passages(contact=True).granted(ann, 3.0, leaf_open=True) == [ann]


def test_overlapping_releases_are_given_up_together() -> None:
    passages = Passages(contact=True)
    passages.granted(ann, 5.0, leaf_open=False)
    passages.granted(bob, 4.0, leaf_open=False)
    assert passages.given_up(4.9) == []
    assert passages.given_up(5.0) == [ann, bob]
