"""A fleet of real processes under everything that goes wrong, and what must hold at its end.

    python -m tests.fleet.simulation --gates 20 --hubs 2 --seconds 120

People are hired, moved between groups, switched off and erased on the hub, rules, sites and cards
change; operators edit at gates and the hub decides on that; gates decide, drop what the hub has of
their logs, and are replaced by other units; networks are cut, slow, and deliver batches again or
late; gates and hubs are killed (SIGKILL) and started. At the end every gate has whom the hub says,
under the same rules, and knows who passed elsewhere; every decision is on the hub once, chains
verify, and who was erased is nowhere: in no row, and in no file of gate or hub, read byte by byte
and unsealed where it is sealed.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import PIL.Image
import sqlalchemy as sa

from gated.access.credentials import Credentials
from gated.access.rules import Access, GroupRule
from gated.config import Settings, load
from gated.core.values import Direction
from gated.database import change_feed
from gated.database import stored_settings as settings_store
from gated.database.records import Person
from gated.database.tables import attendance_logs, journal
from gated.devices.clock import SystemClock
from gated.enrollment import enrollment_store
from gated.enrollment.models import INSTALLED, VisionKit
from gated.fleet.gate.membership import Membership
from gated.fleet.hub import gate_store as gates
from gated.fleet.hub import scope
from gated.fleet.hub.erasure_receipts import Erasures
from gated.fleet.hub.fleet import Fleet
from gated.fleet.wire.cursors import Cursors
from gated.journal import outbox
from gated.journal.pruning import prune
from gated.people import person_store
from gated.people.groups import Groups
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by, rotate_keys
from tests.e2e.process import Process
from tests.fleet import edits, presence, traces
from tests.fleet.relay import Relay
from tests.fleet.rules import present, wanted
from tests.fleet.traces import Gone
from tests.people.people import entry
from tests.workspaces import open_workspace

ACTOR = "simulation"
GROUPS = ("staff", "guests", "night")
SETTLED_S = 180.0

HUB = """
gate: {{name: hub-{number}, role: hub}}
camera: {{driver: none}}
door: {{driver: none}}
storage:
  state_dir: {folder}/hub-{number}
  database_url: "{url}"
  upload_dir: {folder}/uploads
  key_file: {key}
api: {{port: {port}}}
logging: {{level: warning}}
"""

GATE_AS_HUB = """
gate: {{name: hub-{number}, site: works}}
camera: {{driver: replay, source: {pictures}, fps: 1}}
door: {{driver: simulated}}
liveness: {{level: "off"}}
vision: {{assets_dir: {assets}, threads: 1, idle_fps: 0.2}}
storage: {{state_dir: {folder}/hub-0}}
api: {{port: {port}}}
logging: {{level: warning}}
"""

GATE = """
gate: {{name: {name}, site: works}}
camera: {{driver: replay, source: {pictures}, fps: 1}}
door: {{driver: simulated}}
liveness: {{level: "off"}}
vision: {{assets_dir: {assets}, threads: 1, idle_fps: 0.2}}
storage: {{state_dir: {state}}}
api: {{enabled: false}}
logging: {{level: warning}}
"""


@dataclass
class Unit:
    """A process that can be killed and started again."""

    name: str
    config: Path
    port: int = 0
    process: Process | None = None

    def start(self) -> None:
        self.process = Process("--config", self.config)

    def kill(self) -> None:
        if self.process is not None:
            self.process.end(signal.SIGKILL)
            self.process.__exit__()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.end()
            self.process.__exit__()
            self.process = None

    @property
    def running(self) -> bool:
        return self.process is not None


@dataclass
class SimulatedGate(Unit):
    """A gate with its way to the hub, and its journal, to which decisions are added from here."""

    workspace: Workspace = field(kw_only=True)
    relay: Relay = field(kw_only=True)
    hub_name: str = field(kw_only=True)
    """By which the hub knows its place; the unit in it may be another one than at first."""
    decisions: int = 0
    pruned: bool = False


class Simulation:
    """One fleet in a folder. url: of the hub's database; None: a gate is the hub of the others."""

    def __init__(self, folder: Path, url: str | None, gates: int, hubs: int, seed: int) -> None:
        self.folder = folder
        self.url = url
        self.random = random.Random(seed)
        self.count: Counter[str] = Counter()
        self.erased: list[Gone] = []
        self.retired: list[SimulatedGate] = []
        """Units whose place another one has taken."""
        self.staff: list[Person] = []
        self._stack = ExitStack()
        self.hubs = [self._hub(n) for n in range(hubs)]
        desk = self._hub_settings(hubs) if url else load(self.hubs[0].config, {})
        self.desk = self._stack.enter_context(open_workspace(desk))
        self.model = "sface-2021dec"
        self.gates = [self._gate(n) for n in range(gates)]

    # --- building -----------------------------------------------------------------------------

    def _hub_settings(self, number: int, port: int = 0) -> Settings:
        """Of one process of the hub; they share database, photos and sealing key."""
        key = self.folder / "seal.key"
        if not key.exists():
            key.write_text("42" * 32)
            key.chmod(0o600)
        file = self.folder / f"hub-{number}.yaml"
        file.write_text(
            (HUB if self.url else GATE_AS_HUB).format(
                number=number,
                folder=self.folder,
                url=self.url,
                key=key,
                port=port,
                pictures=self._pictures(),
                assets=INSTALLED,
            )
        )
        return load(file, {})

    def _pictures(self) -> Path:
        """A grey wall."""
        pictures = self.folder / "pictures"
        if not pictures.exists():
            pictures.mkdir()
            PIL.Image.new("RGB", (320, 240), "grey").save(pictures / "1.png")
        return pictures

    def _hub(self, number: int) -> Unit:
        port = _free_port()
        self._hub_settings(number, port)
        return Unit(f"hub-{number}", self.folder / f"hub-{number}.yaml", port)

    def _port_of_a_hub(self) -> int:
        up = [h for h in self.hubs if h.running] or self.hubs
        return self.random.choice(up).port

    def gate_settings(self, name: str) -> Settings:
        """Of a gate that looks at a grey wall."""
        state, file, pictures = self.folder / name, self.folder / f"{name}.yaml", self._pictures()
        file.write_text(GATE.format(name=name, pictures=pictures, assets=INSTALLED, state=state))
        return load(file, {})

    def _gate(self, number: int, hub_name: str | None = None) -> SimulatedGate:
        name = f"gate-{number}"
        workspace = self._stack.enter_context(open_workspace(self.gate_settings(name)))
        relay = Relay(self._port_of_a_hub)
        self._stack.callback(relay.close)
        file = self.folder / f"{name}.yaml"
        hub_name = hub_name or name
        return SimulatedGate(name, file, workspace=workspace, relay=relay, hub_name=hub_name)

    def start(self) -> None:
        """Hubs, people, then gates, which join through the network that will fail them."""
        for hub in self.hubs:
            hub.start()
        for hub in self.hubs:
            _wait_for_port(hub.port)
        if self.gates:
            self.model = VisionKit(self.gates[0].workspace.settings).model
        for name in GROUPS:
            done_by(ACTOR, Groups.of(self.desk).add, name, None)
        for _ in range(10):
            self.hire()
        edits.allow(self.desk)
        fleet = Fleet.of(self.desk)
        for n, gate in enumerate(self.gates):
            carries: dict[str, object] = (
                {"everyone": True} if n % 2 == 0 else {"groups": [GROUPS[n % 3]]}
            )
            carries["edits"] = self.random.choice(["pending", "at_once"])
            _, code = fleet.invite(gate.name, "works", carries, actor=ACTOR)
            Membership.of(gate.workspace).join(self._url(gate), code, actor=ACTOR)
            gate.start()

    # --- life ---------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let things happen for so long."""
        end = time.monotonic() + seconds
        acts: list[tuple[int, Callable[[], None]]] = [
            (10, self.decide),
            (4, self.hire),
            (2, self.erase),
            (2, self.switch),
            (2, self.regroup),
            (2, self.rule),
            (1, self.keep_site),
            (2, self.card),
            (3, self.edit),
            (2, self.decide_edits),
            (2, self.cut),
            (2, self.slow),
            (3, self.again),
            (2, self.late),
            (1, self.prune),
            (1, self.replace),
            (1, self.kill_gate),
            (1, self.kill_hub),
        ]
        weights, chosen = [w for w, _ in acts], [a for _, a in acts]
        while time.monotonic() < end:
            act = self.random.choices(chosen, weights)[0]
            act()
            self.count[act.__name__] += 1
            time.sleep(self.random.uniform(0, 0.2))

    def hire(self) -> None:
        number = self.random.getrandbits(48)
        fields = {
            "first_name": "Ada",
            "last_name": f"Unforgettable{number:x}",
            "personnel_code": f"P{number:x}",
        }
        person = done_by(ACTOR, People.of(self.desk).create, fields)
        vector = np.random.default_rng(number).normal(size=128).astype(np.float32)
        path = self.desk.files.save_encoding(vector, self.model)
        with self.desk.database.write() as session:
            enrollment_store.add(
                session,
                enrollment_store.NewEnrollment(
                    person_id=person.id,
                    face_encoding_path=path,
                    face_image_path=None,
                    confidence_score=0.9,
                    model=self.model,
                ),
            )
        self.staff.append(person)
        self.regroup(person)

    def erase(self) -> None:
        if len(self.staff) > 5:
            person = self.staff.pop(self.random.randrange(len(self.staff)))
            person = People.of(self.desk).get(person.id)  # edits may have given another name
            with self.desk.database.read() as session:
                enrolled = enrollment_store.list_(session, person_id=person.id)
            paths = [e.face_encoding_path for e in enrolled if e.face_encoding_path]
            templates = [self.desk.files.load_encoding(p)[0].tobytes() for p in paths]
            done_by(ACTOR, People.of(self.desk).delete, person.id)
            self.erased += [Gone(person, template) for template in templates]

    def switch(self) -> None:
        person = self.random.choice(self.staff)
        done_by(ACTOR, People.of(self.desk).set_active, person.id, None)

    def regroup(self, person: Person | None = None) -> None:
        groups = Groups.of(self.desk)
        group = self.random.choice(groups.list_())
        move = groups.join if person or self.random.random() < 0.6 else groups.leave
        done_by(ACTOR, move, group.id, (person or self.random.choice(self.staff)).id)

    def rule(self) -> None:
        """A group passes in other hours, at other gates."""
        access, hours = Access.of(self.desk), self.random.sample(range(24), 2)
        if self.random.random() < 0.5 or not (known := access.schedules()):
            day = [f"{hours[0]:02}:00-{hours[1]:02}:00"]
            fields = {"name": f"hours {self.random.getrandbits(48):x}", "week": [day] * 7}
            known = [done_by(ACTOR, access.add_schedule, fields)]
        chosen = self.random.choice(known)
        done_by(
            ACTOR, access.update_schedule, chosen.id, {"holiday": self.random.choice([None, []])}
        )
        gate = self.random.choice([None, *(g.name for g in self.gates)])
        rules = self.random.choice([[], [GroupRule(gate, chosen.id)], [GroupRule(gate)]])
        group = self.random.choice(Groups.of(self.desk).list_())
        done_by(ACTOR, access.set_rules_of_group, group.id, rules)

    def keep_site(self) -> None:
        """Other rules hold for everybody, and other days are holidays."""
        access = Access.of(self.desk)
        hours = self.random.choice([None, *(s.id for s in access.schedules())])
        rules = {"occupancy": self.random.randint(1, 99), "two_factors": hours}
        site = self.random.choice(["", "works"])
        done_by(ACTOR, access.set_site_rules, rules, site=site)
        day = date(2026, 12, self.random.randint(1, 31))
        done_by(ACTOR, access.set_holiday, day, f"day {self.random.random()}", site=site)

    def card(self) -> None:
        """Somebody is given a card, or a card is blocked; rarely all get another key."""
        given, person = Credentials.of(self.desk), self.random.choice(self.staff)
        if cards := given.list_(person.id):
            done_by(ACTOR, given.update, cards[0].id, {"is_active": not cards[0].is_active})
        else:
            given.add(person.id, "card", f"{self.random.getrandbits(48)}", {}, actor=ACTOR)
        if self.random.random() < 0.1:
            rotate_keys(ACTOR, self.desk)

    def decide(self) -> None:
        """A gate admits somebody it knows, or nobody."""
        gate = self.random.choice(self.gates)
        with gate.workspace.database.read() as session:
            known, _ = person_store.list_(session)
        whom = self.random.choice([*known, None])
        at, way = SystemClock().now(), self.random.choice(list(Direction))
        passed = entry(whom.ref, at, direction=way) if whom else entry(None, at)
        gate.workspace.journal.append([passed])
        gate.decisions += 1

    def prune(self) -> None:
        """A gate needs room: what the hub has already goes there."""
        gate = self.random.choice(self.gates)
        own, now = gate.workspace.journal.gate_uid(), SystemClock().now()
        with gate.workspace.database.write() as session:
            journal_ = gate.workspace.journal
            cut = prune(session, journal_, own, now, lambda row: row.acknowledged, ACTOR)
        gate.pruned |= cut is not None

    def edit(self) -> None:
        """An operator changes somebody at a gate."""
        edits.edit(self.random.choice(self.gates).workspace, self.random, self.model)

    def decide_edits(self) -> None:
        """Somebody accepts or refuses what waits at the hub."""
        self.staff += edits.decide(self.desk, self.random)

    def cut(self) -> None:
        gate = self.random.choice(self.gates)
        gate.relay.heal() if gate.relay.is_cut else gate.relay.cut()

    def slow(self) -> None:
        self.random.choice(self.gates).relay.delay_s = self.random.uniform(0, 0.5)

    def again(self) -> None:
        self.random.choice(self.gates).relay.replay()

    def late(self) -> None:
        """A batch arrives behind the one that was sent after it."""
        relay = self.random.choice(self.gates).relay
        relay.withholds = not relay.deliver_late()

    def kill_gate(self) -> None:
        gate = self.random.choice(self.gates)
        gate.kill() if gate.running else gate.start()

    def replace(self) -> None:
        """Another unit takes the place of one that dies when the hub has all it wrote."""
        gate = self.random.choice(self.gates)
        gate.kill()
        with gate.workspace.database.read() as session:
            left = outbox.backlog(session, gate.workspace.journal.gate_uid())
        if left or gate.relay.is_cut or not self._are_hubs_up():
            gate.start()
            return
        fleet = Fleet.of(self.desk)
        _, code = fleet.replace(fleet.by_name(gate.hub_name).gate.id, actor=ACTOR)
        self.retired.append(gate)
        new = self._gate(len(self.gates) + len(self.retired), gate.hub_name)
        Membership.of(new.workspace).join(self._url(new), code, actor=ACTOR)
        self.gates[self.gates.index(gate)] = new
        new.start()

    def _are_hubs_up(self) -> bool:
        return all(hub.running and _is_open(hub.port) for hub in self.hubs)

    @staticmethod
    def _url(gate: SimulatedGate) -> str:
        return f"http://127.0.0.1:{gate.relay.port}"

    def kill_hub(self) -> None:
        hub = self.random.choice(self.hubs)
        hub.kill() if hub.running else hub.start()

    # --- the end ------------------------------------------------------------------------------

    def finish(self, seconds: float = SETTLED_S) -> float:
        """Come to rest, do what chance may have left out, and come to rest; how long that took."""
        took = self.settle(seconds)
        self.prune()
        self.replace()
        self.late()
        for act in (self.decide, self.decide, self.erase, self.late):
            act()
        return took + self.settle(seconds)

    def settle(self, seconds: float = SETTLED_S) -> float:
        """Heal everything and wait until the fleet is quiet; how long that took."""
        for unit in (*self.hubs, *self.gates):
            if not unit.running:
                unit.start()
        for gate in self.gates:
            gate.relay.heal()
        began = time.monotonic()
        while lagging := [g.name for g in self.gates if not self._is_quiet(g)]:
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not settled: {', '.join(lagging)}\n" + self._last_words())
            self.decide_edits()
            time.sleep(0.5)
        return time.monotonic() - began

    def _is_quiet(self, gate: SimulatedGate) -> bool:
        with self.desk.database.read() as session:
            head = change_feed.head(session)
            row = gates.by_name(session, gate.hub_name)
        own = gate.workspace.journal.gate_uid()
        with gate.workspace.database.read() as session:
            place = settings_store.get(session, "sync_cursor", {})
            left = outbox.backlog(session, own)
        end = Cursors(self.desk.keys).write(head, row, head.seq)
        if left or place.get("cursor") != end:
            return False
        if not edits.is_quiet(self.desk, gate.workspace):
            return False
        return not _counts(gate) or presence.is_told(self.desk, gate.workspace, gate.hub_name)

    def _last_words(self) -> str:
        units = [u for u in (*self.hubs, *self.gates) if u.process]
        return "\n".join(f"{u.name}: {u.process.lines[-3:]}" for u in units if u.process)

    def problems(self) -> list[str]:
        """What does not hold; nothing, at the end of a good run."""
        found = []
        for gate in self.gates:
            found += [f"{gate.name}: {p}" for p in self._problems_of(gate)]
        for gate in self.retired:
            found += [f"{gate.name}: {p}" for p in self._problems_of_rows(gate)]
        hub = self.desk.journal.verify()
        if not hub.ok:
            found.append(f"hub: {hub.first_problem}")
        found += [f"hub: {trace}" for trace in self._traces_on_the_hub()]
        for gone in self.erased:
            if left := Erasures.of(self.desk).receipt(gone.person.uid).outstanding:
                found.append(f"hub: {left} gates have not confirmed {gone.person.last_name}")
        return found

    def _traces_on_the_hub(self) -> Iterator[str]:
        yield from traces.in_tables(self.desk, self.erased)
        for folder in ("uploads", *(f"hub-{n}" for n in range(len(self.hubs) + 1))):
            yield from traces.in_files(self.desk, self.folder / folder, self.erased)

    def _problems_of(self, gate: SimulatedGate) -> Iterator[str]:
        yield from self._unlike_the_hub(gate)
        yield from self._problems_of_rows(gate)
        yield from traces.in_tables(gate.workspace, self.erased)
        folder = gate.workspace.settings.storage.state_dir
        yield from traces.in_files(gate.workspace, folder, self.erased)
        files = sum(1 for _ in gate.workspace.settings.storage.uploads.rglob("*.sealed"))
        if files != sum(map(len, _templates(gate.workspace).values())):
            yield f"{files} files, not one for each template"

    def _problems_of_rows(self, gate: SimulatedGate) -> Iterator[str]:
        result = gate.workspace.journal.verify()
        if not result.ok:
            yield str(result.first_problem)
        own = gate.workspace.journal.gate_uid()
        sent, kept = _rows(self.desk, own), _rows(gate.workspace, own)
        if not (set(kept) <= set(sent) if gate.pruned else sent == kept):
            yield f"{len(kept)} rows here, {len(sent)} on the hub, and not the same"
        on_hub = _passages(self.desk, own)
        if on_hub != gate.decisions:
            yield f"{gate.decisions} decisions made, {on_hub} on the hub"

    def _unlike_the_hub(self, gate: SimulatedGate) -> Iterator[str]:
        if self._wanted_by(gate) != _templates(gate.workspace):
            yield "its gallery is not what the hub says"
        told = wanted(self.desk, gate.hub_name)
        for about, here in present(gate.workspace).items():
            if here != told[about]:
                yield f"its {about} are not what the hub says: {here}, not {told[about]}"
        passed = presence.wanted(self.desk, gate.hub_name)
        if _counts(gate) and presence.present(gate.workspace) != passed:
            yield f"it was told {presence.present(gate.workspace)} of who passed, not {passed}"

    def _wanted_by(self, gate: SimulatedGate) -> dict[tuple[str, bool], list[bytes]]:
        wanted: dict[tuple[str, bool], list[bytes]] = {}
        with self.desk.database.read() as session:
            row = gates.by_name(session, gate.hub_name)
            people = scope.behind(session, row, "", 100_000)
        for person in people:
            vectors = [
                self.desk.files.load_encoding(e.encoding_path)[0].tobytes()
                for e in person.enrollments
                if e.encoding_path
            ]
            if vectors:
                wanted[person.uid, person.is_active] = sorted(vectors)
        return wanted

    def close(self) -> None:
        for unit in (*self.gates, *self.hubs):
            with contextlib.suppress(AssertionError, OSError):
                unit.kill()
        self._stack.close()


def _counts(gate: SimulatedGate) -> bool:
    """Whether the rules that came down ask who is inside."""
    return "occupancy" in present(gate.workspace)["rules"]


def _templates(workspace: Workspace) -> dict[tuple[str, bool], list[bytes]]:
    """(uid, active) -> templates of everybody who has any."""
    found: dict[tuple[str, bool], list[bytes]] = {}
    with workspace.database.read() as session:
        people = {p.id: p for p in person_store.list_(session)[0]}
        rows = enrollment_store.list_(session)
    for row in rows:
        if row.face_encoding_path:
            person = people[row.person_id]
            vector, _ = workspace.files.load_encoding(row.face_encoding_path)
            found.setdefault((person.uid, person.is_active), []).append(vector.tobytes())
    return {key: sorted(value) for key, value in found.items()}


def _rows(workspace: Workspace, gate: str) -> list[tuple[str, int, str]]:
    j = journal.c
    wanted = sa.select(j.chain, j.seq, j.hash).where(j.chain.startswith(gate))
    with workspace.database.read() as session:
        return [tuple(r) for r in session.execute(wanted.order_by(j.chain, j.seq))]


def _passages(workspace: Workspace, gate: str) -> int:
    a = attendance_logs.c
    wanted = sa.select(sa.func.count()).where(a.chain.startswith(gate))
    with workspace.database.read() as session:
        return int(session.execute(wanted).scalar_one())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _wait_for_port(port: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if _is_open(port):
            return
        time.sleep(0.2)
    raise AssertionError(f"nobody listens on {port}")


@contextmanager
def simulation(
    folder: Path, url: str | None, gates: int, hubs: int, seed: int = 1
) -> Iterator[Simulation]:
    """A fleet that runs while the block does."""
    made = Simulation(folder, url, gates, hubs, seed)
    try:
        made.start()
        yield made
    finally:
        made.close()


def main() -> int:
    """Run one by hand and show what came of it; the exit code is 1 when something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gates", type=int, default=20)
    parser.add_argument("--hubs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    from tests.databases import postgresql_server

    with (
        postgresql_server() as server,
        tempfile.TemporaryDirectory() as folder,
        simulation(Path(folder), server.migrated(), given.gates, given.hubs, given.seed) as run,
    ):
        run.run(given.seconds)
        settled = run.finish()
        problems = run.problems()
        facts = {
            "gates": given.gates,
            "hub processes": given.hubs,
            "seconds of trouble": given.seconds,
            **dict(sorted(run.count.items())),
            "persons at the end": len(run.staff),
            "erased": len(run.erased),
            "decisions": sum(g.decisions for g in (*run.gates, *run.retired)),
            "units replaced": len(run.retired),
            "gates with pruned logs": sum(g.pruned for g in run.gates),
            "settled after s": round(settled, 1),
            "problems": len(problems),
        }
    for name, value in facts.items():
        print(f"{name:24} {value}")
    for problem in problems:
        print("PROBLEM", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
