"""Syslog over TLS: to Debian's rsyslog, in order, again after an outage, and spelled as asked."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gated.config import GateSettings, Settings, StorageSettings, SyslogSettings
from gated.core.values import PersonRef
from gated.devices.clock import ManualClock
from gated.journal.journal import Entry
from gated.link.status_board import StatusBoard
from gated.syslog.messages import LONGEST_BODY, cef_of, framed, json_of, message_of, severity_of
from gated.syslog.sending import SyslogFailed, hand_over
from gated.syslog.syslog import FAILING, LONGEST_PAUSE_S, Syslog
from gated.workspace import Workspace
from tests.fixtures.authority import Authority
from tests.mqtt.broker import free_port, until
from tests.people.people import add_person, entry
from tests.workspaces import open_workspace

RSYSLOG = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
TLS_DRIVER = list(Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so"))
needs_rsyslog = pytest.mark.skipif(
    RSYSLOG is None or not TLS_DRIVER, reason="rsyslog with rsyslog-openssl is not installed"
)


@dataclass
class Collector:
    """An rsyslog on a free port of this machine, that writes each message as it came."""

    folder: Path
    authority: Authority
    asks: str = "anon"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def file(self) -> Path:
        return self.folder / "collected"

    def start(self) -> None:
        assert RSYSLOG is not None
        certificate, key = self.authority.issue("collector")
        config = self.folder / "rsyslog.conf"
        config.write_text(
            f'global(DefaultNetstreamDriverCAFile="{self.authority.ca_file}" '
            f'DefaultNetstreamDriverCertFile="{certificate}" '
            f'DefaultNetstreamDriverKeyFile="{key}" workDirectory="{self.folder}")\n'
            'module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" '
            f'StreamDriver.AuthMode="{self.asks}")\n'
            f'input(type="imtcp" port="{self.port}" address="127.0.0.1")\n'
            'template(name="raw" type="string" string="%rawmsg%\\n")\n'
            f'action(type="omfile" file="{self.file}" template="raw")\n'
        )
        self.process = subprocess.Popen(
            [RSYSLOG, "-n", "-f", str(config), "-i", str(self.folder / "pid")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(self._listens, "rsyslog listens")

    def _listens(self) -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def send_signal(self, by: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(by)

    @property
    def messages(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []

    @property
    def events(self) -> list[Any]:
        return [json.loads(line[line.index("{") :]) for line in self.messages]


@dataclass
class World:
    workspace: Workspace
    clock: ManualClock
    syslog: Syslog
    anna: PersonRef

    def happens(self, *entries: Entry) -> None:
        self.workspace.journal.append(entries)

    def passage(self, gate: str = "north") -> Entry:
        made = entry(self.anna, self.clock.now())
        return replace(made, body={**made.body, "gate": gate})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextmanager
def world_of(folder: Path, port: int, authority: Authority, **more: Any) -> Iterator[World]:
    told = {"events": ("passage",), **more}
    syslog = SyslogSettings(host="127.0.0.1", port=port, ca_file=authority.ca_file, **told)
    settings = Settings(
        gate=GateSettings(name="north", site="works"),
        storage=StorageSettings(state_dir=folder / "state"),
        syslog=syslog,
    )
    with open_workspace(settings) as workspace:
        clock = ManualClock()
        with workspace.database.write() as session:
            anna = add_person(session, first_name="Anna", last_name="Example", personnel_code="E17")
        who = PersonRef(anna.id, anna.uid, "E17", "Anna Example")
        world = World(workspace, clock, Syslog(workspace, clock), who)
        world.syslog.begin()
        yield world


@pytest.fixture
def collector(tmp_path: Path, authority: Authority) -> Iterator[Collector]:
    made = Collector(tmp_path, authority)
    made.start()
    yield made
    made.kill()


# --- to a real collector ----------------------------------------------------------------------


@needs_rsyslog
def test_events_come_to_rsyslog_in_order(
    tmp_path: Path, authority: Authority, collector: Collector
) -> None:
    with world_of(tmp_path, collector.port, authority) as world:
        world.happens(*(world.passage(f"gate {n}") for n in range(300)))
        assert world.syslog.deliver() == 300
        until(lambda: len(collector.messages) == 300, "all messages")
        assert [e["gate"] for e in collector.events] == [f"gate {n}" for n in range(300)]
        head = collector.messages[7].partition("[")[0]
        assert re.fullmatch(
            r"<86>1 \d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d gate_7 gated - decision ", head
        )
        assert world.syslog.deliver() == 0


@needs_rsyslog
def test_nothing_is_lost_over_an_outage(
    tmp_path: Path, authority: Authority, collector: Collector
) -> None:
    with world_of(tmp_path, collector.port, authority) as world:
        world.happens(world.passage("first"))
        assert world.syslog.deliver() == 1
        until(lambda: len(collector.messages) == 1, "the first")
        collector.kill()
        world.happens(world.passage("second"))
        assert world.syslog.deliver() == 0
        world.clock.advance(3600)
        # it takes the connection, and dies before it has read
        collector.start()
        collector.send_signal(signal.SIGSTOP)
        killer = threading.Timer(1.0, collector.kill)
        killer.start()
        world.happens(world.passage("third"))
        assert world.syslog.deliver() == 0
        killer.join()
        world.clock.advance(3600)
        collector.start()
        assert world.syslog.deliver() == 2
        until(lambda: len(collector.messages) >= 3, "all three")
        assert [e["gate"] for e in collector.events] == ["first", "second", "third"]


@needs_rsyslog
def test_a_collector_may_ask_for_a_certificate(tmp_path: Path, authority: Authority) -> None:
    collector = Collector(tmp_path, authority, asks="x509/certvalid")
    collector.start()
    certificate, key = authority.issue("gate")
    try:
        with world_of(
            tmp_path, collector.port, authority, certificate_file=certificate, key_file=key
        ) as world:
            world.happens(world.passage())
            assert world.syslog.deliver() == 1
            until(lambda: collector.messages, "the message")
    finally:
        collector.kill()


@needs_rsyslog
def test_a_collector_that_somebody_else_has_signed_gets_nothing(
    tmp_path: Path, collector: Collector
) -> None:
    other = Authority(tmp_path, "other")
    with world_of(tmp_path, collector.port, other) as world:
        world.happens(world.passage())
        assert world.syslog.deliver() == 0
        assert "certificate is not trusted" in world.syslog.view()["log"][0]["says"]
    assert collector.messages == []


@needs_rsyslog
def test_what_administrators_do_is_told_with_who_did_it(
    tmp_path: Path, authority: Authority, collector: Collector
) -> None:
    with world_of(tmp_path, collector.port, authority, person="name", events=("audit",)) as world:
        with world.workspace.change("olga", world.clock) as change:
            change.record("site_rules_changed", {"site": "works"})
        world.happens(world.passage())
        assert world.syslog.deliver() > 0
        until(lambda: collector.messages, "the message")
        assert {event["type"] for event in collector.events} == {"audit"}
        (event,) = (e for e in collector.events if e["kind"] == "site_rules_changed")
        assert event["actor"] == "olga"


# --- a collector that does not do its work ----------------------------------------------------

Behave = Callable[[ssl.SSLSocket], None]


@contextmanager
def behaving(authority: Authority, behave: Behave) -> Iterator[SyslogSettings]:
    """Take one connection over TLS and behave."""
    certificate, key = authority.issue("bad")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            taken, _ = server.accept()
            with suppress(OSError), taken, context.wrap_socket(taken, server_side=True) as secure:
                behave(secure)

        thread = threading.Thread(target=serve)
        thread.start()
        yield SyslogSettings(
            host="127.0.0.1", port=server.getsockname()[1], ca_file=authority.ca_file
        )
        thread.join(30)


def test_who_reads_and_says_nothing_has_received_nothing(authority: Authority) -> None:
    over = threading.Event()

    def waits(_: ssl.SSLSocket) -> None:
        over.wait(20)

    with behaving(authority, waits) as settings:
        with pytest.raises(SyslogFailed, match="in time"):
            hand_over(settings, b"5 hello", within_s=0.5)
        over.set()


def test_who_drips_is_cut_off(authority: Authority) -> None:
    def drip(to: ssl.SSLSocket) -> None:
        for _ in range(400):
            to.sendall(b"x")
            time.sleep(0.05)

    with (
        behaving(authority, drip) as settings,
        pytest.raises(SyslogFailed),
    ):
        hand_over(settings, b"5 hello", within_s=0.5)


def test_who_resets_the_connection_has_received_nothing(authority: Authority) -> None:
    def reset(to: ssl.SSLSocket) -> None:
        time.sleep(0.3)  # what came meanwhile stays unread, as when somebody is killed

    with behaving(authority, reset) as settings, pytest.raises(SyslogFailed):
        hand_over(settings, b"x" * 50_000)


def test_health_names_a_collector_that_goes_on_failing(
    tmp_path: Path, authority: Authority
) -> None:
    board = StatusBoard()
    with world_of(tmp_path, free_port(), authority) as world:
        world.happens(world.passage())
        world.syslog.deliver()
        world.clock.advance(400)
        world.syslog.deliver()
        world.syslog.publish(board)
        assert "refused" in board.snapshot().troubles[FAILING]
        tries = world.syslog.view()["log"][0]["tries"]
        world.clock.advance(2 * LONGEST_PAUSE_S)
        world.syslog.deliver()
        assert world.syslog.view()["log"][0]["tries"] == tries + 1


# --- how it is spelled ------------------------------------------------------------------------

EVENT: dict[str, Any] = {
    "id": "7",
    "type": "alarm",
    "kind": "door_forced",
    "time": "2026-11-29T08:01:12.345+01:00",
    "clock_ok": False,
    "gate": "Tor süd|1",
    "site": "works",
    "person": {"uid": "u", "personnel_code": "E=17", "name": "A\\B"},
    "actor": "olga",
    "data": {"severity": "alarm", "detail": "line\nbreak | pipe", "status": None},
}


def test_the_head_is_plain_whatever_the_names_are() -> None:
    message = message_of(EVENT, "json", "audit")
    head, _, body = message.partition(b"\xef\xbb\xbf")
    assert head == (
        b"<105>1 2026-11-29T08:01:12.345+01:00 Tor_s_d|1 gated - door_forced "
        b'[timeQuality tzKnown="1" isSynced="0"][origin software="gated" swVersion="0.1.0"] '
    )
    assert json.loads(body) == EVENT
    assert framed(EVENT, "json", "audit") == b"%d " % len(message) + message


def test_cef_escapes_what_would_end_a_field() -> None:
    told = cef_of(EVENT, severity_of(EVENT)).decode()
    assert told.startswith("CEF:0|gated|gate|0.1.0|door_forced|door forced|9|rt=1795935672345 ")
    assert "\n" not in told
    assert r"duid=E\=17" in told
    assert r"duser=A\\B" in told
    assert r"msg=line\nbreak | pipe" in told
    assert "suser=olga" in told
    assert "outcome" not in told


@pytest.mark.parametrize("spell", [json_of, lambda event: cef_of(event, 6)])
def test_no_event_is_longer_than_a_collector_takes(spell: Callable[[Any], bytes]) -> None:
    long = {**EVENT, "data": {"detail": "ü" * 20_000, "severity": "alarm"}}
    assert len(spell(long)) <= LONGEST_BODY
    assert spell(long).decode(errors="strict")
