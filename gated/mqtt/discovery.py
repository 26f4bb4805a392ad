"""Makes the discovery message, from which Home Assistant creates a device with all its entities.

The format is that of MQTT device discovery: `device`, `origin`, `components`. A component that the
settings do not allow has its platform alone, which removes the entity there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gated import __version__
from gated.config import MqttCommand, MqttSettings
from gated.core.values import DoorMode
from gated.mqtt.topics import Topics

Component = dict[str, Any]

COMMAND = '{{ {"command": value, "at": now().timestamp(), "reason": "Home Assistant"} | tojson }}'
"""A template: each command has its time, so that a late one is not executed."""

TRIGGERS = ("passage", "refusal", "alarm")

BUTTONS: Mapping[MqttCommand, tuple[str, str]] = {
    "open": ("Open", "mdi:door-open"),
    "normal": ("Normal", "mdi:door"),
    "lockdown": ("Lockdown", "mdi:lock-alert"),
    "out_of_service": ("Out of service", "mdi:door-closed-cancel"),
    "free_access": ("Free access", "mdi:lock-open"),
    "silence": ("Silence the sounder", "mdi:volume-off"),
}


def discovery_of(settings: MqttSettings, topics: Topics, uid: str, name: str) -> dict[str, Any]:
    """Return the discovery message. uid: of the journal. name: of the gate."""
    components = dict(_components(settings, topics))
    for key, component in components.items():
        if len(component) > 1 and component["platform"] != "device_automation":
            component["unique_id"] = f"gated_{uid}_{key}"
            component.setdefault("availability", _available(topics.service, topics.gate))
            component["availability_mode"] = "all"
    return {
        "device": {
            "identifiers": [f"gated_{uid}"],
            "name": name,
            "manufacturer": "gated",
            "model": "gate",
            "sw_version": __version__,
        },
        "origin": {"name": "gated", "sw_version": __version__},
        "qos": 1,
        "components": components,
    }


def _available(*topics: str) -> list[dict[str, str]]:
    return [{"topic": topic} for topic in topics]


def _components(settings: MqttSettings, topics: Topics) -> Iterator[tuple[str, Component]]:
    allowed = settings.commands
    yield from _lock(allowed, topics)
    yield "door", _binary(topics, "door", "Door", "door")
    yield "forced", _binary(topics, "forced", "Forced", "safety")
    yield "held", _binary(topics, "held", "Held open", "problem")
    yield "tamper", _binary(topics, "tamper", "Tamper", "tamper")
    problem = _binary(topics, "problem", "Problem", "problem")
    problem["json_attributes_topic"] = topics.state
    problem["json_attributes_template"] = '{{ {"problems": value_json.problems} | tojson }}'
    # also of a gate whose door process is away
    yield "problem", {**problem, "availability": _available(topics.service)}
    yield "somebody_inside", _binary(topics, "somebody_inside", "Somebody inside", "occupancy")
    inside = _sensor(topics, "people_inside", "People inside")
    yield "people_inside", {**inside, "state_class": "measurement", "icon": "mdi:account-group"}
    mode = {"device_class": "enum", "options": [str(mode) for mode in DoorMode]}
    yield "mode", {**_sensor(topics, "mode", "Mode"), **mode}
    # unknown while the mode does not end by itself
    end = {"device_class": "timestamp", "icon": "mdi:clock-end"}
    yield "mode_until", {**_sensor(topics, "mode_until", "Mode until"), **end}
    temperature = _sensor(topics, "temperature", "Temperature")
    about = {
        "device_class": "temperature",
        "unit_of_measurement": "°C",
        "state_class": "measurement",
    }
    diagnostic = {"entity_category": "diagnostic"}
    yield "temperature", {**temperature, **about, **diagnostic}
    last = _sensor(topics, "last_person", "Last person")
    icon = {"icon": "mdi:account-check"}
    yield "last_person", _where(settings.person != "none", {**last, **icon})
    camera = {"platform": "camera", "name": "Last decision", "topic": topics.picture}
    yield "picture", _where(settings.pictures, camera)
    yield "event", _where(bool(settings.events), _event(settings, topics))
    for type_ in TRIGGERS:
        yield f"trigger_{type_}", _where(type_ in settings.events, _trigger(type_, topics))
    for command in BUTTONS:
        yield f"button_{command}", _where(command in allowed, _button(command, topics))


def _where(wanted: bool, component: Component) -> Component:
    """Return the component, or the form that removes it."""
    return component if wanted else {"platform": component["platform"]}


def _lock(allowed: tuple[MqttCommand, ...], topics: Topics) -> Iterator[tuple[str, Component]]:
    """Yield a lock where commands may open; else a binary sensor that only shows its state."""
    usable = "open" in allowed
    lock: Component = {
        "platform": "lock",
        "name": "Lock",
        "state_topic": topics.state,
        "value_template": "{{ value_json.lock }}",
        "command_topic": topics.command,
        "command_template": COMMAND,
        "payload_lock": "normal",
        "payload_unlock": "open",
        "payload_open": "open",
        "optimistic": False,
    }
    yield "lock", _where(usable, lock)
    yield "locked", _where(not usable, _binary(topics, "locked", "Lock", "lock"))


def _binary(topics: Topics, key: str, name: str, device_class: str) -> Component:
    return {
        "platform": "binary_sensor",
        "name": name,
        "state_topic": topics.state,
        "value_template": f"{{{{ value_json.{key} }}}}",
        "device_class": device_class,
    }


def _sensor(topics: Topics, key: str, name: str) -> Component:
    return {
        "platform": "sensor",
        "name": name,
        "state_topic": topics.state,
        "value_template": f"{{{{ value_json.{key} }}}}",
    }


def _event(settings: MqttSettings, topics: Topics) -> Component:
    return {
        "platform": "event",
        "name": "Event",
        "state_topic": topics.event,
        "event_types": list(settings.events),
    }


def _trigger(type_: str, topics: Topics) -> Component:
    return {
        "platform": "device_automation",
        "automation_type": "trigger",
        "type": type_,
        "subtype": "gate",
        "topic": topics.event,
        "value_template": "{{ value_json.event_type }}",
        "payload": type_,
    }


def _button(command: MqttCommand, topics: Topics) -> Component:
    name, icon = BUTTONS[command]
    return {
        "platform": "button",
        "name": name,
        "icon": icon,
        "command_topic": topics.command,
        "command_template": COMMAND,
        "payload_press": command,
    }
