"""Events as syslog messages: RFC 5424, framed for TLS (RFC 5425), with a body of JSON or CEF."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from gated import __version__

Format = Literal["json", "cef"]
Event = Mapping[str, Any]

FACILITIES = {"authpriv": 10, "audit": 13, **{f"local{n}": 16 + n for n in range(8)}}

ALERT, WARNING, NOTICE, INFO = 1, 4, 5, 6
_CEF_SEVERITY = {ALERT: 9, WARNING: 6, NOTICE: 4, INFO: 2}

LONGEST_BODY = 7000
"""Bytes: collectors take 8 kB of one message."""
LONGEST_HOST, LONGEST_KIND = 255, 32
LONGEST_VALUE = 1000
_NOT_PLAIN = re.compile(r"[^\x21-\x7e]+")


def framed(event: Event, format_: Format, facility: str) -> bytes:
    """Return a frame with octet counting (RFC 6587): the length, a blank, the message."""
    message = message_of(event, format_, facility)
    return b"%d %s" % (len(message), message)


def message_of(event: Event, format_: Format, facility: str) -> bytes:
    """Return an event as one syslog message (RFC 5424)."""
    severity = severity_of(event)
    head = " ".join(
        (
            f"<{8 * FACILITIES[facility] + severity}>1",
            str(event["time"]),
            _plain(event.get("gate"), LONGEST_HOST),
            "gated - " + _plain(event["kind"], LONGEST_KIND),
            # registered with IANA: whether the clock is right, and whose message it is
            f'[timeQuality tzKnown="1" isSynced="{int(bool(event["clock_ok"]))}"]'
            f'[origin software="gated" swVersion="{__version__}"]',
        )
    )
    body = json_of(event) if format_ == "json" else cef_of(event, severity)
    return head.encode("ascii") + b" \xef\xbb\xbf" + body


def severity_of(event: Event) -> int:
    """Return the severity of an event: 1 (alert) to 6 (informational)."""
    if event["type"] == "alarm":
        return ALERT if event["data"].get("severity") == "alarm" else WARNING
    return NOTICE if event["type"] == "refusal" else INFO


def _plain(value: object, longest: int) -> str:
    """Return a header field: printable ASCII without blanks, `-` (NILVALUE) for nothing."""
    return _NOT_PLAIN.sub("_", str(value or ""))[:longest] or "-"


def json_of(event: Event) -> bytes:
    """Return the event as JSON; data that is too long is replaced by `{"truncated": true}`."""
    body = json.dumps(event, ensure_ascii=False).encode()
    if len(body) <= LONGEST_BODY:
        return body
    short = {
        name: value[:100] if isinstance(value, str) else value for name, value in event.items()
    }
    return json.dumps({**short, "data": {"truncated": True}}, ensure_ascii=False).encode()


def cef_of(event: Event, severity: int) -> bytes:
    """Return the event in the Common Event Format, version 0."""
    head = ("CEF:0", "gated", "gate", __version__, event["kind"], event["kind"].replace("_", " "))
    fields = _cef_fields(event)
    extension = " ".join(f"{key}={_cef_value(value)}" for key, value in fields.items() if value)
    header = "|".join(re.sub(r"([\\|])", r"\\\1", _line(part)) for part in head)
    body = f"{header}|{_CEF_SEVERITY[severity]}|{extension}".encode()[:LONGEST_BODY]
    return body.decode(errors="ignore").encode()  # without a character that was cut in two


def _cef_fields(event: Event) -> dict[str, Any]:
    person, data = event.get("person") or {}, event["data"]
    at = datetime.fromisoformat(event["time"])
    labelled = {
        "cs1": ("gate", event.get("gate")),
        "cs2": ("site", event.get("site")),
        "cs3": ("method", data.get("method")),
        "cs4": ("direction", data.get("direction")),
    }
    labels = {f"{key}Label": name for key, (name, value) in labelled.items() if value}
    return {
        "rt": int(at.timestamp() * 1000),
        "externalId": event["id"],
        "cat": event["type"],
        "outcome": data.get("status"),
        "reason": data.get("reason"),
        "duid": person.get("personnel_code"),
        "duser": person.get("name"),
        "suser": event.get("actor"),
        "msg": data.get("detail"),
        **{key: value for key, (_, value) in labelled.items()},
        **labels,
    }


def _line(value: object) -> str:
    """Return a value on one line."""
    return " ".join(str(value).split())


def _cef_value(value: object) -> str:
    text = str(value)[:LONGEST_VALUE].replace("\\", "\\\\").replace("=", "\\=")
    return text.replace("\r", "\\r").replace("\n", "\\n")
