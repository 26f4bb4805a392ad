"""Home Assistant's own core with its MQTT integration, asked line by line.

Run by a Python that has the package `homeassistant` (2025.1 or later): `python home_assistant.py
CONFIG_DIR PORT`. Each line of the input is a JSON list: `["states"]`, `["triggers"]`,
`["events"]`, `["call", DOMAIN, SERVICE, ENTITY_ID]`; each is answered by one line.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from types import MappingProxyType
from typing import Any

# the package is not in the environment of the project: its own Python has it
from homeassistant import auth, bootstrap, config_entries, core, loader
from homeassistant.components.device_automation import (
    DeviceAutomationType,
    async_get_device_automations,
)
from homeassistant.helpers import device_registry
from homeassistant.setup import async_setup_component


async def core_with_mqtt(folder: str, port: int) -> core.HomeAssistant:
    """Start the core, and its MQTT integration at a broker of this machine."""
    hass = core.HomeAssistant(folder)
    hass.config.skip_pip = True
    hass.config.internal_url = "http://127.0.0.1:8123"
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await loader.async_get_custom_components(hass)
    await bootstrap.async_load_base_functionality(hass)
    hass.auth = await auth.auth_manager_from_config(hass, [], [])
    with socket.create_server(("127.0.0.1", 0)) as probe:
        pages = {"server_host": "127.0.0.1", "server_port": probe.getsockname()[1]}
    for component in ("homeassistant", "device_automation", "http"):
        assert await async_setup_component(hass, component, {"http": pages}), component
    await hass.async_start()
    entry = config_entries.ConfigEntry(
        data={"broker": "127.0.0.1", "port": port, "protocol": "5"},
        options={"discovery": True},
        domain="mqtt",
        title="mqtt",
        source="user",
        unique_id=None,
        version=1,
        minor_version=2,
        discovery_keys=MappingProxyType({}),
        subentries_data=(),
    )
    await hass.config_entries.async_add(entry)
    return hass


def states(hass: core.HomeAssistant) -> dict[str, Any]:
    return {s.entity_id: [s.state, dict(s.attributes)] for s in hass.states.async_all()}


async def triggers(hass: core.HomeAssistant) -> list[str]:
    devices = list(device_registry.async_get(hass).devices)
    found = await async_get_device_automations(hass, DeviceAutomationType.TRIGGER, devices)
    return sorted(t["type"] for of_one in found.values() for t in of_one if t["domain"] == "mqtt")


async def main(folder: str, port: int) -> None:
    hass = await core_with_mqtt(folder, port)
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    print(json.dumps("ready"), flush=True)
    while line := await reader.readline():
        match json.loads(line):
            case ["states"]:
                answer: Any = states(hass)
            case ["triggers"]:
                answer = await triggers(hass)
            case ["devices"]:
                answer = [d.name for d in device_registry.async_get(hass).devices.values()]
            case ["call", domain, service, entity_id]:
                await hass.services.async_call(
                    domain, service, {"entity_id": entity_id}, blocking=True
                )
                answer = "called"
        print(json.dumps(answer, default=str), flush=True)
    await hass.async_stop(force=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
