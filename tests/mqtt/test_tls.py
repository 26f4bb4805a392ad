"""TLS and certificates at a real broker, and what the doctor says of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gated.config import MqttSettings, Settings
from gated.doctor import DoctorContext, Finding, bounded
from gated.doctor import _mqtt as mqtt_probe
from gated.mqtt.connection import Connection, MqttFailed
from tests.fixtures.authority import Authority
from tests.mqtt.broker import Broker, broker_in, listening, needs_broker, until
from tests.mqtt.test_bridge import world_of

pytestmark = needs_broker


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def broker(tmp_path: Path, authority: Authority) -> Iterator[Broker]:
    """A broker that asks for a certificate."""
    certificate, key = authority.issue("broker")
    more = f"allow_anonymous true\nrequire_certificate true\ncafile {authority.ca_file}\n"
    with broker_in(tmp_path, more=f"{more}certfile {certificate}\nkeyfile {key}") as broker:
        yield broker


def connect(broker: Broker, **more: Any) -> None:
    Connection(MqttSettings(host="127.0.0.1", port=broker.port, **more), "gated-test", None).close()


def test_a_certificate_opens_the_connection(broker: Broker, authority: Authority) -> None:
    certificate, key = authority.issue("gate")
    connect(broker, ca_file=authority.ca_file, certificate_file=certificate, key_file=key)


def test_without_one_there_is_none(broker: Broker, authority: Authority) -> None:
    with pytest.raises(MqttFailed):
        connect(broker, ca_file=authority.ca_file)


def test_a_broker_that_somebody_else_has_signed_is_not_believed(
    broker: Broker, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.issue("gate")
    other = Authority(tmp_path, "other")
    with pytest.raises(MqttFailed, match="certificate is not trusted"):
        connect(broker, ca_file=other.ca_file, certificate_file=certificate, key_file=key)


def test_a_broker_at_another_address_is_not_believed(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue("elsewhere", "192.0.2.1")
    more = f"allow_anonymous true\ncertfile {certificate}\nkeyfile {key}"
    with (
        broker_in(tmp_path, more=more) as broker,
        pytest.raises(MqttFailed, match="certificate is not trusted"),
    ):
        connect(broker, ca_file=authority.ca_file)


def test_a_file_that_is_missing_is_named(broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(MqttFailed, match=r"nobody\.pem cannot be used"):
        connect(broker, ca_file=tmp_path / "nobody.pem")
    with pytest.raises(MqttFailed, match=r"password cannot be read"):
        connect(broker, username="gate", password_file=tmp_path / "password")


def doctor(**mqtt: Any) -> list[Finding]:
    settings = Settings(mqtt=MqttSettings(**mqtt))
    return bounded("mqtt", mqtt_probe, DoctorContext(settings), 20)


def test_the_doctor_tries_the_broker(broker: Broker, authority: Authority) -> None:
    certificate, key = authority.issue("gate")
    known: dict[str, Any] = {
        "host": "127.0.0.1", "port": broker.port, "ca_file": authority.ca_file,
        "certificate_file": certificate,
    }  # fmt: skip
    assert [found.state for found in doctor(**known, key_file=key)] == ["ok"]
    broker.kill()
    (found,) = doctor(**known, key_file=key)
    assert (found.state, "refused" in found.message) == ("fail", True)
    assert doctor() == []


def test_the_doctor_names_topics_and_what_was_delivered(tmp_path: Path) -> None:
    with broker_in(tmp_path) as broker:
        with world_of(tmp_path, broker.port) as world:
            with listening(broker.port) as listener:
                until(lambda: listener.last("/availability") == b"online", "online")
                world.passes()
                until(lambda: listener.said("/journal"), "the event")
            settings, base = world.workspace.settings, world.bridge.topics.base
        (found,) = bounded("mqtt", mqtt_probe, DoctorContext(settings), 20)
    assert found.state == "ok"
    assert "1 events delivered, 0 passed over" in found.message
    assert found.message.endswith(base)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"certificate_file": Path("a")}, "needs its key"),
        ({"password_file": Path("a")}, "needs a username"),
        ({"commands": ("open",)}, "need an account"),
        ({"host": "broker", "tls": False, "account": "a", "commands": ("open",)}, "with TLS only"),
        ({"topic": "gated/#"}, "topic"),
        ({"commands": ("reboot",)}, "commands"),
    ],
)
def test_impossible_settings_are_refused(told: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        MqttSettings(**told)
