"""What Prometheus reads: right numbers, no names, and a dashboard that asks for what is there."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gated.core.values import PersonRef
from gated.link.status_board import DecisionView, EventView
from gated.live.machine import card_wear, power, temperatures
from tests.fixtures.server import Running

MONITORING = Path(__file__).parents[2] / "config" / "monitoring"
ANNA = PersonRef(1, "0192a000-0000-7000-8000-000000000001", "E17", "Anna Example")


def decided(**more: object) -> DecisionView:
    told: dict[str, object] = {
        "at": datetime.now(UTC),
        "outcome": "granted",
        "reason": "granted",
        "person": ANNA,
        "confidence": 0.9,
        "direction": "entry",
        "method": "face",
        "frames": 3,
        "pad": None,
        "visit": 1,
        "flags": (),
        "decided_after_ms": 900.0,
        "relay_after_ms": 910.0,
        "frame_to_decision_ms": 60.0,
    }
    return DecisionView(**{**told, **more})  # type: ignore[arg-type]


def read(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Samples by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def asked(server: Running) -> str:
    with server.client("viewer") as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return answer.text


def test_decisions_and_events_are_counted_by_reason_and_time(server: Running) -> None:
    board = server.services.board
    labels = {"outcome": "granted", "reason": "granted", "method": "face"}
    key = "gated_decisions_total", frozenset(labels.items())
    before = read(asked(server)).get(key, 0.0)
    board.add_decision(decided())
    board.add_decision(decided(decided_after_ms=None, relay_after_ms=None))
    board.add_event(EventView(datetime.now(UTC), "door_forced", "alarm", {}))
    told = read(asked(server))
    assert told[key] == before + 2
    bucket = "gated_sight_to_decision_seconds_bucket"
    assert told[(bucket, frozenset({("le", "1.0")}))] >= 1.0
    assert told[(bucket, frozenset({("le", "0.75")}))] == 0.0
    forced = frozenset({("kind", "door_forced"), ("severity", "alarm")})
    assert told[("gated_events_total", forced)] == 1.0
    assert told[("process_resident_memory_bytes", frozenset())] > 1e7


def test_problems_and_alarms_come_and_go(server: Running) -> None:
    board = server.services.board
    lost = "gated_problem", frozenset({("name", "camera_lost")})
    board.publish(camera="lost", alarms={"door_fault": "alarm"})
    told = read(asked(server))
    assert told[lost] == 1.0
    assert told[("gated_healthy", frozenset())] == 0.0
    alarm = frozenset({("kind", "door_fault"), ("severity", "alarm")})
    assert told[("gated_alarm", alarm)] == 1.0
    board.publish(camera="ok", alarms={})
    told = read(asked(server))
    assert lost not in told
    assert told[("gated_healthy", frozenset())] == 1.0


def test_the_end_of_a_mode_is_told_while_it_has_one(server: Running) -> None:
    ends = "gated_door_mode_ends_seconds", frozenset[tuple[str, str]]()
    assert ends not in read(asked(server))
    board = server.services.board
    board.publish(door_mode="free_access", door_mode_until="2026-12-24T18:00:00+00:00")
    assert read(asked(server))[ends] == datetime(2026, 12, 24, 18, tzinfo=UTC).timestamp()
    board.publish(door_mode="normal", door_mode_until=None)
    assert ends not in read(asked(server))


def test_nobody_is_named(server: Running) -> None:
    server.services.board.add_decision(decided())
    told = asked(server)
    assert not [word for word in ("Anna", "E17", ANNA.uid) if word in told]


def test_only_who_may_see_the_gate_sees_its_metrics(server: Running) -> None:
    with server.client() as nobody, server.client("self") as person:
        assert nobody.get("/metrics").status_code == 401
        assert person.get("/metrics").status_code == 403


def test_a_supervisor_learns_whether_it_lives_and_whether_people_can_pass(server: Running) -> None:
    with server.client() as nobody:
        assert nobody.get("/health/live").json() == {"status": "ok"}
        assert nobody.get("/health/ready").json() == {"status": "ok", "reasons": []}
        server.services.board.publish(camera="lost")
        answer = nobody.get("/health/ready")
        server.services.board.publish(camera="ok")
        assert (answer.status_code, answer.json()["reasons"]) == (503, ["camera_lost"])
        for name in ("relay_lost", "camera_changed", "reader_lost"):
            server.services.board.trouble(name, "it does not answer")
        answer = nobody.get("/health/ready")
        named = nobody.get("/health").json()["problems"]
        for name in named:
            server.services.board.trouble(name, None)
        assert answer.json()["reasons"] == ["relay_lost", "camera_changed"]
        assert named == ["relay_lost", "camera_changed", "reader_lost"]
        assert nobody.get("/health/live").status_code == 200


def test_dashboard_and_alerts_ask_for_what_is_told(server: Running) -> None:
    board = server.services.board
    board.add_decision(decided())
    board.publish(
        camera="lost", alarms={"door_fault": "alarm"}, hub={"backlog": 3}, clock="trusted"
    )
    board.gauge(**{"camera.frames": 9, "camera.dropped": 1, "journal.backlog": 0})
    told = {name for name, _ in read(asked(server))}
    board.publish(camera="ok", alarms={}, hub=None, clock=None)
    # only on a machine of the right kind, or with a certificate
    told |= {"gated_temperature_celsius", "gated_power", "gated_card_wear_ratio"}
    told |= {"gated_certificate_ends_seconds"}
    rules = yaml.safe_load((MONITORING / "gated-alerts.yaml").read_text())
    dashboard = json.loads((MONITORING / "grafana.json").read_text())
    asked_for = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked_for += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    names = set(re.findall(r"\b(?:gated|process)_[a-z_]+", " ".join(asked_for)))
    assert len(names) > 12
    assert names - told == set()


@pytest.mark.parametrize(
    ("flags", "holding"),
    [
        ("0\n", set()),
        (
            "50005\n",
            {(n, w) for n in ("undervoltage", "throttled") for w in ("now", "since_start")},
        ),
        ("10000", {("undervoltage", "since_start")}),
    ],
)
def test_a_pi_that_lacks_power_says_so(
    tmp_path: Path, flags: str, holding: set[tuple[str, str]]
) -> None:
    file = tmp_path / "devices/platform/soc/soc:firmware/get_throttled"
    file.parent.mkdir(parents=True)
    file.write_text(flags)
    assert {labels for labels, holds in power(tmp_path).items() if holds} == holding


def test_heat_and_wear_are_read_and_nonsense_is_left_out(tmp_path: Path) -> None:
    for name, files in {
        "class/thermal/thermal_zone0": {"temp": "48312\n", "type": "cpu-thermal\n"},
        "class/thermal/thermal_zone1": {"temp": "nonsense"},
        "block/mmcblk0/device": {"life_time": "0x01 0x03\n"},
        "block/mmcblk1/device": {"life_time": "0x00 0x00\n"},
    }.items():
        (tmp_path / name).mkdir(parents=True)
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
    assert list(temperatures(tmp_path)) == [("cpu-thermal", 48.312)]
    assert list(card_wear(tmp_path)) == [("mmcblk0", 0.3)]
    assert power(tmp_path) == {}
    assert list(temperatures(tmp_path / "nowhere")) == []
