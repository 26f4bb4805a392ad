"""YAML whose values keep the place they came from, so that every mistake can name it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from gated.config.settings import SECTIONS, Section
from gated.errors import Broken, ConfigError, Mistake

Keys = tuple[str | int, ...]
"""The path of a value: section, key, index, ..."""


@dataclass
class YamlDraft:
    """A file as far as it was read: plain values, where each stands, and what is wrong with it."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Keys, str] = field(default_factory=dict)
    problems: list[Mistake] = field(default_factory=list)
    wrong: set[Keys] = field(default_factory=set)

    def complain(
        self, keys: Keys, text: str, rule: str | None = None, limit: str | None = None
    ) -> None:
        """Note a wrong value at `keys`. rule, limit: for whoever has words of their own."""
        self.wrong.add(keys)
        self.misfit(keys, text, rule, limit)

    def complain_unknown(self, keys: Keys, owner: type[Section]) -> None:
        """Note a key that `owner` does not have; what was probably meant counts as wrong, too."""
        key = str(keys[-1])
        near = difflib.get_close_matches(key, owner.model_fields, 1, 0.6)
        homes = [name for name, cls in SECTIONS.items() if key in cls.model_fields]
        if homes and len(keys) > 1:
            meant = f"{homes[0]}.{key}"
            self.wrong.add((homes[0], key))
            self.complain(keys, f"unknown key here; did you mean {meant}?", "unknown_key", meant)
        elif near:
            self.wrong.add((*keys[:-1], near[0]))
            self.complain(keys, f"unknown key; did you mean {near[0]}?", "unknown_key", near[0])
        else:
            known = ", ".join(owner.model_fields)
            self.complain(keys, f"unknown key; known here: {known}", "unknown")

    def misfit(
        self, keys: Keys, text: str, rule: str | None = None, limit: str | None = None
    ) -> None:
        """Note a mistake with the nearest place known, without calling the value itself wrong."""
        known = next(k for n in range(len(keys), -1, -1) if (k := keys[:n]) in self.origins)
        broken = Broken(rule, limit, text)
        self.problems.append(Mistake(self.origins[known], dotted(keys), broken))


def dotted(keys: Keys) -> str:
    """`("door", "relay_pin")` -> `door.relay_pin`."""
    return ".".join(str(k) for k in keys)


class _Yaml(yaml.SafeLoader):
    """YAML 1.2's core schema: `off`, `no` and `12:30` are words, `1e-3` is a number."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TAG = "tag:yaml.org,2002:"
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", f"^(?:{_INT.pattern})$", list("-+0123456789")),
    ("float", f"^(?:{_FLOAT.pattern})$", list("-+.0123456789")),
):
    _Yaml.add_implicit_resolver(_TAG + _tag, re.compile(_pattern), _first)


def compose(text: str) -> yaml.Node | None:
    """The nodes of a YAML document with the places of each; None for one without values."""
    return yaml.compose(text, Loader=_Yaml)


def parse(text: str, name: str) -> YamlDraft:
    """Values of a YAML document with the line of each; ConfigError when it is not YAML."""
    draft = YamlDraft(origins={(): name})
    try:
        root = compose(text)
        if root is not None:
            value = _plain(root, (), draft, name, set())
            if isinstance(value, dict):
                draft.values = value
            elif value is not None:
                draft.complain((), "must hold sections such as `camera:` and `door:`", "object")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise _no_yaml(f"{name}{where}", error.problem or "") from None
    except yaml.YAMLError as error:
        raise _no_yaml(name, " ".join(str(error).split())) from None
    except RecursionError:
        raise _no_yaml(name, "nested too deeply") from None
    return draft


def _no_yaml(place: str, why: str) -> ConfigError:
    return ConfigError.of([Mistake(place, "", Broken("yaml", None, f"not valid YAML: {why}"))])


def _plain(node: yaml.Node, keys: Keys, draft: YamlDraft, name: str, seen: set[int]) -> Any:
    """The plain value of a node; notes lines and mistakes in the draft."""
    draft.origins.setdefault(keys, f"{name}:{node.start_mark.line + 1}")
    if id(node) in seen:
        text = "aliases (*name) are not supported: write the value out"
        draft.complain(keys, text, "yaml_alias")
        return None
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        return _plain_mapping(node, keys, draft, name, seen)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(n, (*keys, i), draft, name, seen) for i, n in enumerate(node.value)]
    try:
        return _scalar(node.tag.removeprefix(_TAG), node.value)
    except ValueError:
        text = f"{node.value[:40]!r} is not a value of type {node.tag[-20:]}"
        draft.complain(keys, text, "form")
        return None


def _plain_mapping(
    node: yaml.MappingNode, keys: Keys, draft: YamlDraft, name: str, seen: set[int]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        where = f"{name}:{key_node.start_mark.line + 1}"
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
        at = (*keys, key)
        if key in values:
            first = draft.origins[at].rpartition(":")[2]
            twice = Broken("twice", first, f"is there twice (first on line {first})")
            draft.problems.append(Mistake(where, dotted(at), twice))
            continue
        draft.origins[at] = where
        values[key] = _plain(value_node, at, draft, name, seen)
    return values


def _scalar(tag: str, text: str) -> Any:
    """ValueError when the text is not of this type, or cannot be stored as text."""
    text.encode()
    match tag:
        case "null":
            return None
        case "bool":
            return {"true": True, "false": False}[text.lower()]
        case "int" if _INT.fullmatch(text):
            return int(text)
        case "float" if _FLOAT.fullmatch(text):
            return float(text)
        case "str":
            return text
    raise ValueError
