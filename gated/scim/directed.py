"""The resources of one kind as the routes of a directory call them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from gated.scim.attributes import Kind, read
from gated.scim.patching import patched
from gated.scim.resources import ListQuery, Resource


class Directed:
    """Resources of one kind that a directory reads and changes. actor: its account."""

    KIND: ClassVar[Kind]

    @abstractmethod
    def list_(self, query: ListQuery) -> Resource:
        """Return one page. Raises: ScimRefused for a filter that is not supported."""

    @abstractmethod
    def get(self, uid: str, base: str) -> Resource:
        """Return one resource. Raises: NotFound."""

    @abstractmethod
    def create(self, actor: str, body: Mapping[str, Any], base: str) -> Resource:
        """Add a resource. Raises: ScimRefused, Conflict."""

    @abstractmethod
    def delete(self, actor: str, uid: str, if_match: str | None, base: str) -> None:
        """Remove a resource. Raises: NotFound, Conflict."""

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
        """Write what `wanted` makes of the present resource, and return the result."""
