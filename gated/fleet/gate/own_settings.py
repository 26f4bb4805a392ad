"""The settings of this gate as an administrator sees and changes them on its pages.

A change is put down and brought into force as settings of a hub are: by a new start that has some
time to show that it works (`config_trial`). Nothing here writes a file or starts anything.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from gated.change import Change
from gated.config import ON_PAGES, SCOPES, SECTIONS, Values, check_own, effective
from gated.config.explained import explained
from gated.database.tables import new_uid
from gated.errors import Broken, ConfigError, Conflict, SettingsOnTrial, SettingsRefused
from gated.fleet.gate import assigned_config as given_store
from gated.fleet.gate.assigned_config import AssignedConfig, KeptConfig
from gated.fleet.gate.config_trial import InForce, require_usable
from gated.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the configuration. form: JSON schema of its value; None where it is not set here.

    source and place: where its value comes from.
    """

    key: str
    value: Any
    default: Any
    source: str
    place: str
    explanation: str
    form: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """The newest change, and how far it is.

    reason: why it was refused. problems: codes of those that it made. rule, limit: the name of the
    reason, where it has one, and its limit.
    """

    state: Literal["none", "waiting", "trial", "refused"]
    by: str = ""
    values: Values | None = None
    reason: str = ""
    problems: tuple[str, ...] = ()
    rule: str | None = None
    limit: str | None = None


class OwnSettings:
    """Settings of this gate. held: those that it runs with; None where nobody knows their file."""

    def __init__(self, workspace: Workspace, held: InForce | None) -> None:
        self._workspace = workspace
        self._held = held

    @property
    def file(self) -> str | None:
        """The configuration file, as it was named."""
        return str(self._held.file) if self._held and self._held.file else None

    def list_(self) -> list[Setting]:
        """Every key in the order of the manual, secrets masked. Raises: Conflict."""
        held = self._known()
        values = effective(held.settings)
        found = []
        for section, key in SCOPES:
            origin = held.loaded.origin((section, key))
            # what a hub says cannot be changed here, but what is said here holds against it
            form = (
                _forms(section)[key]
                if (section, key) in ON_PAGES and origin.source != "environment"
                else None
            )
            found.append(
                Setting(
                    f"{section}.{key}",
                    values[section][key],
                    _defaults(section).get(key),
                    origin.source,
                    origin.place,
                    explained(section).get(key, ""),
                    form,
                )
            )
        return found

    def newest(self) -> SettingsChange:
        """Return the newest change and how far it is."""
        with self._workspace.database.read() as session:
            kept = given_store.load(session, "pages")
        if kept.pending is not None:
            state: Literal["trial", "waiting"] = "trial" if kept.starts else "waiting"
            return SettingsChange(state, kept.pending.by, kept.pending.values)
        if kept.refused is not None:
            refused = kept.refused
            why = refused.reason, refused.problems, refused.rule, refused.limit
            return SettingsChange("refused", refused.by, None, *why)
        return SettingsChange("none")

    def change(self, change: Change, values: Values) -> None:
        """Put values down; the gate starts with them as soon as nobody is before it.

        Raises: SettingsRefused names each key that is wrong, Conflict while others are tried.
        """
        held = self._known()
        if problems := check_own(values):
            raise SettingsRefused(problems)
        kept = given_store.load(change.session, "pages")
        if kept.pending is not None and kept.starts:
            raise SettingsOnTrial("the gate is trying other settings: wait for a minute")
        given = AssignedConfig(new_uid(), 0, _merged(kept, values), change.actor)
        try:
            require_usable(held, given)
        except ConfigError as error:
            raise SettingsRefused(_places_of(error, values)) from None
        kept = replace(kept, pending=given, refused=None, starts=0, troubles=())
        given_store.store(change.session, kept, "pages")
        change.record("settings_changed", {"given": given.uid, "values": values})

    def _known(self) -> InForce:
        if self._held is None:
            text = "this program was started without a configuration file of its own"
            raise Conflict(text).named("no_settings_file")
        return self._held


def _places_of(error: ConfigError, values: Values) -> dict[str, Broken]:
    """Return what is wrong by its key; what has none is said of all keys that were to change."""
    keys = ", ".join(f"{section}.{key}" for section in values for key in values[section])
    if not error.mistakes:
        return {keys: Broken(None, None, str(error))}
    return {mistake.key or keys: mistake.broken for mistake in error.mistakes}


def _merged(kept: KeptConfig, values: Values) -> Values:
    """Return all that the pages say: what was said before, and these."""
    before = kept.pending or kept.accepted
    found = {section: dict(part) for section, part in (before.values if before else {}).items()}
    for section, part in values.items():
        found.setdefault(section, {}).update(part)
    return found


@functools.cache
def _forms(section: str) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = SECTIONS[section].model_json_schema()["properties"]
    return properties


@functools.cache
def _defaults(section: str) -> Mapping[str, Any]:
    return SECTIONS[section].model_construct().model_dump(mode="json")
