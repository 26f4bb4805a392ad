"""Changes of one resource of a directory: all of it by PUT, what is named by PATCH."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from gated.scim.attributes import Kind, read
from gated.scim.patching import patched
from gated.scim.resources import Resource


class Replaceable:
    """Resources of one kind that a directory replaces and patches."""

    KIND: ClassVar[Kind]

    def replace(
        self, actor: str, uid: str, body: Mapping[str, Any], base: str, if_match: str | None
    ) -> Resource:
        """Make a resource as the directory has it. Raises: NotFound, ScimRefused, Conflict."""
        given = read(self.KIND, body)
        return self._change(actor, uid, base, if_match, lambda before: given)

    def patch(
        self, actor: str, uid: str, body: Mapping[str, Any], base: str, if_match: str | None
    ) -> Resource:
        """Change what the operations name. Raises: NotFound, ScimRefused, Conflict."""
        return self._change(
            actor, uid, base, if_match, lambda before: patched(self.KIND, before, body)
        )

    @abstractmethod
    def _change(
        self,
        actor: str,
        uid: str,
        base: str,
        if_match: str | None,
        wanted: Callable[[Resource], Resource],
    ) -> Resource:
        """Make what `wanted` makes of the resource as it is, and return it as it is then."""
