"""What was committed reaches the gate; a database that cannot be read is tried again."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from gated.errors import StorageError
from gated.link.loop import end
from gated.runtime import change_watcher
from gated.runtime.change_watcher import ChangeWatcher, WatchedState


class World:
    """Two things that are watched, and what was renewed."""

    def __init__(self) -> None:
        self.stamps = {"gallery": 0, "rules": 0}
        self.commits = 0
        self.renewed: list[str] = []
        self.failures = self.unreachable = 0
        self.arrived = threading.Condition()
        self._seen = 0

    def changed(self) -> bool:
        if self.unreachable:
            self.unreachable -= 1
            raise StorageError("the server has gone")
        changed, self._seen = self._seen != self.commits, self.commits
        return changed

    def watched(self) -> list[WatchedState]:
        return [self._watched(name) for name in self.stamps]

    def _watched(self, name: str) -> WatchedState:
        return WatchedState(name, lambda: self.stamps[name], lambda: self._renew(name))

    def _renew(self, name: str) -> None:
        if self.failures:
            self.failures -= 1
            raise StorageError("cannot be read")
        with self.arrived:
            self.renewed.append(name)
            self.arrived.notify_all()

    def commit(self, *names: str) -> None:
        for name in names:
            self.stamps[name] += 1
        self.commits += 1

    def wait_for(self, *renewed: str) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.renewed == list(renewed), 10)


def crashed(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


def test_only_what_changed_is_renewed() -> None:
    world = World()
    watcher = ChangeWatcher(world.changed, world.watched(), crashed)
    watcher.start()
    try:
        world.commit("rules")
        world.wait_for("rules")
        world.commit()
        world.commit("gallery", "rules")
        world.wait_for("rules", "gallery", "rules")
    finally:
        end(watcher)


@pytest.mark.parametrize("fault", ["failures", "unreachable"])
def test_what_could_not_be_read_is_tried_again_without_another_commit(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Also where the database itself has gone for a while."""
    monkeypatch.setattr(change_watcher, "PAUSE_S", 0.01)
    world = World()
    setattr(world, fault, 2)
    watcher = ChangeWatcher(world.changed, world.watched(), crashed)
    watcher.start()
    try:
        world.commit("rules")
        world.wait_for("rules")
    finally:
        end(watcher)
    assert getattr(world, fault) == 0


def test_while_many_changes_come_only_what_is_urgent_is_renewed_at_once() -> None:
    world, many = World(), threading.Event()
    gallery, rules = world.watched()
    urgent = replace(rules, urgent=True)
    watcher = ChangeWatcher(world.changed, (gallery, urgent), crashed, many.is_set)
    many.set()
    watcher.start()
    try:
        world.commit("gallery", "rules")
        world.wait_for("gallery", "rules")
        world.commit("gallery", "rules")
        world.wait_for("gallery", "rules", "rules")
        many.clear()
        world.wait_for("gallery", "rules", "rules", "gallery")
    finally:
        end(watcher)
