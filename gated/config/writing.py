"""Values into gate.yaml, whose comments, order and other lines stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from gated.config.loading import Values
from gated.config.settings import SECTIONS
from gated.config.yaml_locations import compose, parse
from gated.errors import ConfigError

INDENT = "  "

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_/-]*")
_WORDS_OF_YAML = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def with_values(text: str, values: Values) -> str:
    """Return the text with these values. Raises: ConfigError, also where another would change."""
    wanted = _merged(parse(text, "it").values, values)
    for section, key, value in _flat(values):
        text = _with(text, section, key, value)
    if parse(text, "it").values != wanted:
        raise ConfigError("the file is written in a way that leaves no place for new values")
    return text


def _flat(values: Values) -> Iterator[tuple[str, str, Any]]:
    for section, part in values.items():
        for key, value in part.items():
            yield section, key, value


def _merged(before: dict[str, Any], values: Values) -> dict[str, Any]:
    found = dict(before)
    for section, key, value in _flat(values):
        old = found.get(section)
        if isinstance(old, str):  # the one word that stands for a section
            word = SECTIONS[section].word
            found[section] = value if key == word else {word: old, key: value}
        else:
            found[section] = {**(old or {}), key: value}
    return found


def _with(text: str, section: str, key: str, value: Any) -> str:
    root = compose(text)
    if root is not None and (not isinstance(root, yaml.MappingNode) or root.flow_style):
        raise ConfigError("the file has no sections in lines of their own")
    entry = next((e for e in root.value if e[0].value == section), None) if root else None
    if entry is None:
        return _on_own_line(text, len(text), f"{section}:\n{INDENT}{key}: {_written(value)}")
    name, node = entry
    if isinstance(node, yaml.MappingNode):
        return _into_mapping(text, node, key, value)
    if node.start_mark.index == node.end_mark.index:  # nothing stands there
        end = _end_of_line(text, name.end_mark.index)
        return _on_own_line(text, end, f"{INDENT}{key}: {_written(value)}")
    word = SECTIONS[section].word
    instead = (
        _written(value) if key == word else f"{{{word}: {node.value}, {key}: {_written(value)}}}"
    )
    return _instead(text, node, instead)


def _into_mapping(text: str, node: yaml.MappingNode, key: str, value: Any) -> str:
    old = next((inner for name, inner in node.value if name.value == key), None)
    if old is not None and old.start_mark.index == old.end_mark.index:
        at = old.start_mark.index
        return f"{text[:at]} {_written(value)}{text[at:]}"
    if old is not None:
        return _instead(text, old, _written(value))
    if node.flow_style:
        end = node.end_mark.index - 1
        comma = ", " if node.value else ""
        return f"{text[:end].rstrip()}{comma}{key}: {_written(value)}{text[end:]}"
    end = _end_of_line(text, _last(node).end_mark.index)
    return _on_own_line(text, end, " " * node.start_mark.column + f"{key}: {_written(value)}")


def _last(node: yaml.Node) -> yaml.Node:
    """Return the last scalar of a node: where one of a block ends, comments may follow."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        node = node.value[-1] if isinstance(node, yaml.SequenceNode) else node.value[-1][1]
    return node


def _end_of_line(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _on_own_line(text: str, at: int, line: str) -> str:
    before = text[:at]
    return f"{before}{'' if not before or before.endswith(chr(10)) else chr(10)}{line}\n{text[at:]}"


def _instead(text: str, node: yaml.Node, written: str) -> str:
    return text[: node.start_mark.index] + written + text[node.end_mark.index :]


def _written(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS_OF_YAML:
        return value
    return json.dumps(value, ensure_ascii=False)
