"""A door on a board that pymodbus plays, over TCP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gated.config import DoorSettings
from gated.core.messages import Condition
from gated.core.values import DoorEventKind
from gated.devices.bus_door import BusDoor
from gated.devices.clock import SystemClock
from gated.devices.contract import Letters, eventually
from gated.devices.doors import open_door
from gated.devices.drivers import DoorHardware

pytest.importorskip("pymodbus", reason="pymodbus (extra dev) is missing")

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

COIL = 3


class Partner:
    """pymodbus' server in a thread; `coils` is what was written to the coil."""

    def __init__(self, port: int = 0) -> None:
        self.coils: list[bool] = []
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(20)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        bits = [SimData(0, count=2, values=False, datatype=DataType.BITS)]
        words = [SimData(0, count=8, values=0, datatype=DataType.REGISTERS)]
        inputs = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        device = SimDevice(id=1, simdata=(bits, inputs, words, words))
        self._server = self._make(device)
        await self._server.listen()
        self.port = self._server.transport.sockets[0].getsockname()[1]
        self._ready.set()
        await self._server.serving

    def _make(self, device: SimDevice) -> Any:
        return ModbusTcpServer(device, address=("127.0.0.1", self.port), trace_pdu=self._traced)

    def _traced(self, sending: bool, pdu: Any) -> Any:
        if not sending and pdu.function_code == 5:
            self.coils.append(bool(pdu.bits[0]))
        return pdu

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop).result(20)
        self._thread.join()


@pytest.fixture
def partner() -> Iterator[Partner]:
    made = Partner()
    yield made
    made.stop()


def door_at(port: int, note: Any, letters: Letters) -> BusDoor:
    settings = DoorSettings(
        driver="modbus",
        options={"host": "127.0.0.1", "port": port, "accept_unprotected_network": True},
        relay_pin=COIL,
    )
    hardware = DoorHardware(note=note)
    door = open_door(settings, letters.post, SystemClock(), hardware=hardware)
    assert isinstance(door, BusDoor)
    return door


def test_pymodbus_understands_what_is_asked(partner: Partner) -> None:
    letters, conditions = Letters(), list[Condition]()
    door = door_at(partner.port, conditions.append, letters)
    assert door.problem is None
    door.unlock(0.3)
    assert eventually(lambda: partner.coils and partner.coils[-1])
    assert letters.heard(DoorEventKind.RELOCKED)
    assert eventually(lambda: not partner.coils[-1])
    assert conditions == []
    door.close()


def test_a_network_that_answers_nothing_is_a_lost_board() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        letters, conditions = Letters(), list[Condition]()
        door = door_at(silent.getsockname()[1], conditions.append, letters)
        assert conditions[0].present
        assert "does not answer" in conditions[0].detail
        door.close()
