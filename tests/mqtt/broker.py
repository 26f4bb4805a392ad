"""Debian's mosquitto on a free port of this machine, and a client that remembers what it hears."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
WITHIN_S = 30.0


def free_port() -> int:
    """Find a port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(done: Callable[[], Any], what: str, within_s: float = WITHIN_S) -> Any:
    """Wait until something is true; return it."""
    end = time.monotonic() + within_s
    while not (found := done()):
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)
    return found


@dataclass
class Broker:
    """A mosquitto that keeps nothing over its end. more: lines of its configuration."""

    folder: Path
    port: int = field(default_factory=free_port)
    more: str = "allow_anonymous true"
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        assert MOSQUITTO is not None
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\npersistence false\nuser root\n{self.more}\n"
        )
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._listens, "mosquitto listens")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it without a word."""
        self._end(signal.SIGKILL)

    def hang(self) -> None:
        """Let it answer nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, by: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(by)
            self.process.wait(10)
            self.process = None


@contextmanager
def broker_in(folder: Path, **more: Any) -> Iterator[Broker]:
    """Run a broker while the block runs."""
    broker = Broker(folder, **more)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@dataclass
class Listener:
    """Another program at the broker."""

    client: paho.Client
    heard: list[tuple[str, bytes, bool]] = field(default_factory=list)

    def of(self, ending: str) -> list[bytes]:
        """Return the payloads of a topic, in order."""
        return [payload for topic, payload, _ in self.heard if topic.endswith(ending)]

    def said(self, ending: str) -> list[Any]:
        """Return the JSON of a topic, in order."""
        return [json.loads(payload) for payload in self.of(ending)]

    def last(self, ending: str) -> Any:
        """Return what a topic said last; None when it said nothing."""
        said = self.of(ending)
        return said[-1] if said else None

    def publish(self, topic: str, payload: Any, *, retain: bool = False) -> None:
        """Publish, and wait until the broker has it."""
        text = payload if isinstance(payload, bytes | str) else json.dumps(payload)
        self.client.publish(topic, text, 1, retain).wait_for_publish(WITHIN_S)


@contextmanager
def listening(port: int, topic: str = "#") -> Iterator[Listener]:
    """Hear everything while the block runs; a broker that comes back is found again."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    listener = Listener(client)
    there: list[bool] = []

    def connected(*_: Any) -> None:
        client.subscribe(topic, 1)

    def came(_client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        listener.heard.append((message.topic, bytes(message.payload), bool(message.retain)))

    client.on_connect = connected
    client.on_subscribe = lambda *_: there.append(True)
    client.on_message = came
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", port, 5)
    client.loop_start()
    try:
        until(lambda: there, "the listener has subscribed")
        yield listener
    finally:
        client.disconnect()
        client.loop_stop()
