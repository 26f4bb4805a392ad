"""Changes that tests make: one call of a service, in a unit of work of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from gated.access.credential_keys import Rotated, rotate
from gated.change import Change
from gated.workspace import Service, Workspace

P = ParamSpec("P")
R = TypeVar("R")


def done_by(
    actor: str,
    method: Callable[Concatenate[Change, P], R],
    *args: P.args,
    **more: P.kwargs,
) -> R:
    """Call a method of a service as somebody, and commit; returns what it returns."""
    service: Service = cast(Any, method).__self__
    with service.change(actor) as change:
        return method(change, *args, **more)


def done_in(
    workspace: Workspace,
    actor: str,
    method: Callable[Concatenate[Change, P], R],
    *args: P.args,
    **more: P.kwargs,
) -> R:
    """Call a method that is no service's as somebody, and commit; returns what it returns."""
    with workspace.change(actor) as change:
        return method(change, *args, **more)


def rotate_keys(actor: str, workspace: Workspace) -> Rotated:
    """Put another key on top of the credentials of a workspace."""
    with workspace.change(actor) as change:
        return rotate(change, workspace)
