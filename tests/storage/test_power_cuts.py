"""The power fails at any moment: what was acknowledged is there, and nothing is half.

The writes of a program are recorded once (`disk.c`); from them the disk is made as it is after a
cut at some moment, without the writes that were on their way, or with some of them, torn and out
of order. A gate is opened on each of these disks.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pytest
import sqlalchemy as sa

from gated.core.messages import RecordDecision
from gated.database.tables import enrollments, persons
from gated.devices.clock import SystemClock
from gated.fleet.hub.restored import recover
from gated.journal import alarm_store
from gated.journal.pruned_ranges import own_chains
from gated.live.recording import Recorder
from gated.workspace import Workspace
from tests.people.people import grant
from tests.storage.disk import Disk, Kept, Step, library, steps
from tests.storage.writer import PROMISES, settings

ROUNDS = 40


@dataclass
class Promised:
    """What a program had acknowledged. people: uid -> number and file of the template."""

    rows: dict[str, int] = field(default_factory=dict)
    people: dict[str, tuple[int, str]] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    """People whose erasure was not acknowledged yet: they may be there or not."""

    def hear(self, lines: Iterable[str]) -> None:
        """Take the promises of whole lines."""
        for line in lines:
            match line.split():
                case ["rows", chain, seq]:
                    self.rows[chain] = int(seq)
                case ["person", uid, number, path]:
                    self.people[uid] = int(number), path
                case ["erasing", uid]:
                    self.doubtful.add(uid)
                case ["erased", uid]:
                    self.doubtful.discard(uid)
                    self.erased.add(uid)
        for uid in self.erased | self.doubtful:
            self.people.pop(uid, None)


def require_kept(state: Path, promised: Promised) -> None:
    """Open the gate as a start does; everything promised is there, and it goes on in its chain."""
    with Workspace(settings(state)) as workspace:
        recover(workspace, SystemClock())
        with workspace.database.read() as session:
            ends = workspace.journal.sealed_ends(session)
            there = set(session.execute(sa.select(persons.c.uid)).scalars())
            files = set(session.execute(sa.select(enrollments.c.face_encoding_path)).scalars())
        for chain, seq in promised.rows.items():
            assert ends.get(chain, 0) >= seq, (chain, seq, ends)
        assert promised.people.keys() <= there
        assert not promised.erased & there
        for number, path in promised.people.values():
            assert path in files
            vector, _ = workspace.files.load_encoding(path)
            assert vector[0] == number
        for path in files:
            workspace.files.load_encoding(path)
        Recorder(workspace, workspace.settings).append([RecordDecision(grant(None))])
        found = workspace.journal.verify()
        assert found.ok, found
        with workspace.database.read() as session:
            assert alarm_store.list_(session, standing=True) == []
            assert len(own_chains(session, workspace.journal.gate_uid())) == 1


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory of a gate that has been started once."""
    state = tmp_path / "state"
    with Workspace(settings(state)) as workspace:
        Recorder(workspace, workspace.settings).append([RecordDecision(grant(None))])
    return state


def recorded(state: Path, tools: Path, rounds: int) -> tuple[Disk, list[Step]]:
    """Let the program write to its end; the disk before, and what happened to it."""
    log, before = tools / "log", Disk(state)
    shim = {"LD_PRELOAD": str(library(tools)), "DISK_UNDER": str(state), "DISK_LOG": str(log)}
    subprocess.run(
        [sys.executable, "-m", "tests.storage.writer", str(state), str(rounds)],
        env={**os.environ, **shim},
        check=True,
        timeout=600,
    )
    return before, list(steps(log))


def cuts(disk: Disk, done: list[Step], count: int, chance: random.Random) -> Iterator[Promised]:
    """Let the program's steps be done; stop at so many, with what was promised until then."""
    moments = sorted(chance.sample(range(len(done)), count))
    promised = Promised()
    for i, step in enumerate(done):
        disk.do(step)
        if step.path.endswith(PROMISES) and step.op == "w":
            promised.hear(step.data.decode().splitlines())
        while moments and moments[0] == i:
            moments.pop(0)
            yield promised


def survive(state: Path, tools: Path, rounds: int, count: int) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    disk, done = recorded(state, tools, rounds)
    for n, promised in enumerate(cuts(disk, done, count, chance)):
        kept: Kept = chance.choice(get_args(Kept))
        place = tools / f"cut-{n}"
        disk.cut(place, chance, kept)
        try:
            require_kept(place, promised)
        except Exception as error:
            error.add_note(f"seed {seed}, cut {n}, kept {kept}")
            raise
        shutil.rmtree(place)


def test_what_was_acknowledged_survives_cuts_without_the_writes_that_were_on_their_way(
    state: Path, tmp_path: Path
) -> None:
    survive(state, tmp_path, ROUNDS, 20)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_it_survives_five_hundred_cuts(state: Path, tmp_path: Path) -> None:
    survive(state, tmp_path, 4 * ROUNDS, 500)


def kills(state: Path, count: int) -> None:
    """Kill the program at so many moments, each run on what the one before has left."""
    chance = random.Random()
    promised = Promised()
    for _ in range(count):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.storage.writer", str(state), "100000"]
        )
        file = state / PROMISES
        before, end = file.stat().st_size if file.exists() else 0, time.monotonic() + 60
        while (not file.exists() or file.stat().st_size == before) and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.8))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        promised.hear(file.read_text().splitlines())
        assert promised.rows, "the program has written nothing"
        require_kept(state, promised)


def test_it_survives_a_kill(state: Path) -> None:
    kills(state, 1)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_it_survives_twenty_kills(state: Path) -> None:
    kills(state, 20)
