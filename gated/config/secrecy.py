"""Files with secrets, and whether others can read them."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gated.config.loading import dotenv_of, read_dotenv
from gated.config.settings import Settings
from gated.config.yaml_locations import parse
from gated.errors import ConfigError

_SECRET_VARIABLES = ("SECRET_KEY", "GATED_SEAL_KEY")
_ADDRESS_VARIABLES = ("DATABASE_URL",)
_SECRET_KEYS = (("auth", "secret_key"),)
_ADDRESS_KEYS = (("storage", "database_url"), ("camera", "url"))
_PASSWORD = re.compile(r"//[^/?#\s]*:[^/?#\s]*@|[?&]password=|\bpassword=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exposed:
    """A file or directory that others can read or change. holds: what in it is theirs to lose."""

    path: Path
    holds: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path} can be read or changed by others and holds {self.holds}"


def exposed(settings: Settings, config: Path | None) -> list[Exposed]:
    """Return what others can read: the configuration and `.env` with secrets, key files, the state.

    config: the file that was read. A file that its group may only read is fine: so a service reads
    what root keeps for it.
    """
    found = []
    if config is not None:
        found += list(_of_file(config, _yaml_secrets(config)))
        if (dotenv := dotenv_of(config)) is not None:
            found += list(_of_file(dotenv, _dotenv_secrets(dotenv)))
    storage = settings.storage
    keys = [storage.key_file, settings.api.tls_key, *_made(storage.state_dir / "keys")]
    for key in keys:
        if key is not None and _mode(key) & 0o077:
            found.append(Exposed(key, "a key", f"chmod 600 {key}"))
    if not settings.gate.demo and _mode(storage.state_dir) & 0o077:
        path = storage.state_dir
        found.append(Exposed(path, "what the gate keeps", f"chmod 700 {path}"))
    return found


def _of_file(path: Path, secrets: list[str]) -> Iterator[Exposed]:
    if secrets and _mode(path) & 0o027:
        advice = f"chmod 600 {path}, or 640 with the group of the service; then change the secrets"
        yield Exposed(path, ", ".join(secrets), advice)


def _yaml_secrets(path: Path) -> list[str]:
    try:
        values = parse(path.read_text(encoding="utf-8"), path.name).values
    except (OSError, UnicodeDecodeError, ConfigError):
        return []

    def value(section: str, key: str) -> str:
        inside = values.get(section)
        return str(inside.get(key) or "") if isinstance(inside, Mapping) else ""

    named = [f"{s}.{k}" for s, k in _SECRET_KEYS if value(s, k)]
    return named + [f"{s}.{k}" for s, k in _ADDRESS_KEYS if _PASSWORD.search(value(s, k))]


def _dotenv_secrets(path: Path) -> list[str]:
    try:
        values, _ = read_dotenv(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError):
        return []
    texts = {name: value for name, (value, _) in values.items()}
    named = [name for name in _SECRET_VARIABLES if texts.get(name)]
    return named + [name for name in _ADDRESS_VARIABLES if _PASSWORD.search(texts.get(name, ""))]


def _made(keys: Path) -> list[Path]:
    try:
        return sorted(keys.glob("*.key"))
    except OSError:
        return []


def _mode(path: Path) -> int:
    """The permissions of what is there; none of what is not."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
