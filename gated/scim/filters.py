"""Filters and paths of attributes, as far as they are answered (RFC 7644, 3.4.2.2 and 3.5.2).

Answered are comparisons by `eq` that all hold (`and`), also of one value of a multi-valued
attribute in brackets. Everything else is refused: a filter that is passed over would answer with
everybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gated.scim.attributes import Kind, is_text
from gated.scim.refusals import ScimRefused, ScimType

LONGEST = 2000
"""Characters of a filter or a path."""

_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([\[\]()])|([^\s"\[\]()]+))')
_NAME = re.compile(r"[A-Za-z$][\w$-]*(?:\.[A-Za-z$][\w$-]*)?")

Value = str | bool | None


class Comparison(NamedTuple):
    """An attribute, in lower case and with a dot before its part, equals a value."""

    attribute: str
    value: Value


@dataclass(frozen=True, slots=True)
class Path:
    """A place in a resource: of an extension or of the core, an attribute, its values, a part.

    attribute: empty for the extension itself. where: None without brackets.
    """

    urn: str
    attribute: str
    where: tuple[Comparison, ...] | None = None
    part: str = ""


def parse_filter(kind: Kind, text: str) -> list[Comparison]:
    """Read the filter of a list: all of these hold. Raises: ScimRefused (invalidFilter)."""
    reader = _FilterReader(text, "invalidFilter")
    found: list[Comparison] = []
    while True:
        word = reader.word()
        name = _name(kind, word, "invalidFilter")
        if reader.takes("["):
            inner = reader.conditions("]")
            found += [Comparison(f"{name}.{c.attribute}", c.value) for c in inner]
            if not reader.is_over() and (part := reader.peek()).startswith("."):
                reader.word()
                found.append(Comparison(f"{name}{part.lower()}", reader.compared()))
        else:
            found.append(Comparison(name, reader.compared()))
        if reader.is_over():
            return found
        reader.need("and")


def parse_path(kind: Kind, text: str) -> Path:
    """Read the path of a PATCH. Raises: ScimRefused (invalidPath)."""
    urn, rest = _without_urn(kind, text.strip())
    if not rest:
        return Path(urn, "")
    head, bracket, tail = rest.partition("[")
    where = None
    if bracket:
        inner, closed, tail = tail.rpartition("]")
        if not closed:
            raise ScimRefused("invalidPath", "a bracket is not closed")
        reader = _FilterReader(inner, "invalidPath")
        where = tuple(reader.conditions(""))
        head += tail
    if not _NAME.fullmatch(head):
        raise ScimRefused("invalidPath", f"{text[:100]!a} is no path that is known here")
    name, _, part = head.partition(".")
    return Path(urn, name, where, part)


def _without_urn(kind: Kind, text: str) -> tuple[str, str]:
    """The URN of an extension and what follows; an empty one for the core."""
    if len(text) > LONGEST:
        raise ScimRefused("invalidPath", f"a path has {LONGEST} characters at most")
    lower = text.lower()
    for urn in kind.urns():
        if lower == urn.lower() or lower.startswith(f"{urn.lower()}:"):
            return "" if urn == kind.urn else urn, text[len(urn) + 1 :]
    return "", text


def _name(kind: Kind, word: str, refusal: ScimType) -> str:
    urn, name = _without_urn(kind, word)
    if not _NAME.fullmatch(name):
        raise ScimRefused(refusal, f"{word[:100]!a} is no attribute")
    return f"{urn}:{name}".lower() if urn else name.lower()


class _FilterReader:
    """The words of a filter, one after the other."""

    def __init__(self, text: str, refusal: ScimType) -> None:
        self._refusal: ScimType = refusal
        if len(text) > LONGEST:
            raise self._refused(f"a filter has {LONGEST} characters at most")
        self._tokens: Sequence[str] = _tokens(text)
        if not _complete(text):
            raise self._refused("the filter cannot be read")
        self._at = 0

    def is_over(self) -> bool:
        """Return whether nothing follows."""
        return self._at >= len(self._tokens)

    def peek(self) -> str:
        """The next token, or an empty one."""
        return "" if self.is_over() else self._tokens[self._at]

    def word(self) -> str:
        """Take the next token, which is neither a text nor a bracket."""
        token = self.peek()
        if not token or token[0] in '"[]()' or token.lower() == "not":
            raise self._refused("only comparisons by eq that are joined by and are answered")
        self._at += 1
        return token

    def takes(self, mark: str) -> bool:
        """Take the next token if it is this one."""
        if self.peek() != mark:
            return False
        self._at += 1
        return True

    def need(self, wanted: str) -> None:
        """Take this word and no other."""
        if self.word().lower() != wanted:
            raise self._refused("only comparisons by eq that are joined by and are answered")

    def compared(self) -> Value:
        """Take `eq` and the value."""
        self.need("eq")
        token = self.peek()
        self._at += 1
        try:
            value = json.loads(token if token.startswith('"') else token.lower())
        except ValueError:
            raise self._refused("a value is a text in quotes, true, false or null") from None
        if value is not None and not isinstance(value, str | bool):
            raise self._refused("a value is a text in quotes, true, false or null")
        if isinstance(value, str) and not is_text(value):
            raise self._refused("a value holds what is no character")
        return value

    def conditions(self, end: str) -> list[Comparison]:
        """Take comparisons until this mark, or until the end."""
        found: list[Comparison] = []
        while True:
            found.append(Comparison(self.word().lower(), self.compared()))
            if (end and self.takes(end)) or (not end and self.is_over()):
                return found
            self.need("and")

    def _refused(self, why: str) -> ScimRefused:
        return ScimRefused(self._refusal, why)


def _tokens(text: str) -> list[str]:
    return [match[1] or match[2] or match[3] for match in _TOKEN.finditer(text)]


def _complete(text: str) -> bool:
    """Return whether the tokens leave nothing out, such as a quote that is not closed."""
    return not _TOKEN.sub("", text).strip()
