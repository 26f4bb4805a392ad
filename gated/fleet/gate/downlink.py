"""The way down from the hub, on a gate: one transaction a page, its cursor with it.

A page that was cut off is asked for again; one that comes twice says the same twice. Templates are
written before the transaction that names them, and removed when it fails.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlencode

from sqlalchemy.exc import IntegrityError

from gated import __version__
from gated.database import change_feed, hub_ownership
from gated.database import stored_settings as settings_store
from gated.database.hub_ownership import FEED_PLACE as KEY
from gated.errors import HubError, HubUnreachable, SealError
from gated.fleet.gate import edge_edit_store, replica
from gated.fleet.gate.client import TIMEOUT_S, HubClient
from gated.fleet.hub.feed import context
from gated.fleet.wire.kind import ApplyContext, Files
from gated.fleet.wire.kinds import KINDS
from gated.fleet.wire.signing import Envelopes
from gated.fleet.wire.states import State
from gated.journal.journal import Entry
from gated.ports import Clock
from gated.workspace import Workspace

log = logging.getLogger(__name__)

PAGE = 500

REFUSED = "refused"
"""What becomes of an item that makes no sense to this version."""

REFUSED_BY = "sync_refused_by"
"""The setting that says which version of the program has refused an item: another one may know it,
and takes everything anew."""


@dataclass(frozen=True, slots=True)
class FeedPlace:
    """Place of this gate in the feed. snapshot: number of the present or last one.

    cursor: behind what is applied; None before the first snapshot is complete. next_cursor, after:
    where a snapshot that is not complete goes on, and what cursor it leads to. heard: when the hub
    was last heard of (RFC 3339).
    """

    cursor: str | None = None
    model: str = ""
    snapshot: int = 0
    next_cursor: str | None = None
    after: str = ""
    heard: str | None = None


@dataclass(frozen=True, slots=True)
class _Item:
    """One item of a page, opened. op: as the hub says, or `REFUSED`. state: of `put`."""

    op: str
    kind: str
    uid: str
    state: State | None = None


class Downlink:
    """Applies what the hub sends to a workspace; one thread at a time."""

    def __init__(self, workspace: Workspace, client: HubClient, clock: Clock, model: str) -> None:
        self._workspace = workspace
        self._client = client
        self._clock = clock
        self._model = model

    @classmethod
    def of(cls, workspace: Workspace, client: HubClient, model: str) -> Self:
        """The downlink of a workspace, for templates of a model, on the real clock."""
        return cls(workspace, client, workspace.clock, model)

    def place(self) -> FeedPlace:
        """Return how far this gate is."""
        with self._workspace.database.read() as session:
            stored = settings_store.get(session, KEY, {})
        return FeedPlace(**settings_store.fields_of(FeedPlace, stored))

    def pull(self, wait: float = 0) -> bool:
        """Apply one page; return whether there may be another one at once.

        wait: seconds for which the hub may hold back an answer without items.
        Raises: HubError, StorageError.
        """
        place = self.place()
        if self._refused_by() not in (None, __version__):
            return self._snapshot(replace(place, cursor=None, next_cursor=None, after=""))
        if place.cursor is None or place.model != self._model:
            return self._snapshot(place)
        query = {"since": place.cursor, "model": self._model, "limit": PAGE, "wait": wait}
        if self._workspace.erase_traces() == "pending":
            query["erasing"] = True  # what was erased is not gone from here: do not note that it is
        try:
            answer = self._get("/api/sync/changes", query, TIMEOUT_S + wait)
        except HubError as error:
            if error.hub_code != "snapshot_needed":
                raise
            log.warning("the hub tells everything anew")
            return self._snapshot(replace(place, cursor=None, next_cursor=None, after=""))
        items = self._opened(answer)
        with _understood():
            place = replace(place, cursor=str(answer["cursor"]))
            more = bool(answer["more"])
        self._apply(items, place)
        return more

    def _refused_by(self) -> str | None:
        with self._workspace.database.read() as session:
            version: str | None = settings_store.get(session, REFUSED_BY)
        return version

    def _snapshot(self, place: FeedPlace) -> bool:
        if place.next_cursor is None or place.model != self._model:
            number = place.snapshot + 1
            place = replace(place, snapshot=number, model=self._model, next_cursor=None, after="")
        query = {"after": place.after, "model": self._model, "limit": PAGE}
        answer = self._get("/api/sync/snapshot", query, TIMEOUT_S)
        items = self._opened(answer)
        with _understood():
            begun, after = place.next_cursor or str(answer["cursor"]), answer["after"]
        if after is not None:
            place = replace(place, cursor=None, next_cursor=begun, after=str(after))
        else:
            place = replace(place, cursor=begun, next_cursor=None, after="")
        self._apply(items, place, last=after is None)
        return True

    def _get(self, path: str, query: Mapping[str, Any], timeout: float) -> Any:
        return self._client.get(f"{path}?{urlencode(query)}", timeout)

    # --- reading ------------------------------------------------------------------------------

    def _opened(self, answer: Any) -> list[_Item]:
        """Return the items of a page; one that makes no sense keeps no other away."""
        own = self._client.credentials
        assert own is not None  # noqa: S101
        with _understood():
            envelopes = own.keys.opener(str(answer["ephemeral"]))
            sealed = list(answer["items"])
        items = []
        for item in sealed:
            try:
                items.append(_read(item, envelopes, self._model))
            except (KeyError, TypeError, ValueError, AttributeError, SealError) as error:
                log.error("an item from the hub makes no sense: %s", error)
                items.append(_refused(item))
        return items

    # --- applying -----------------------------------------------------------------------------

    def _apply(self, items: Sequence[_Item], place: FeedPlace, last: bool = False) -> None:
        """Apply everything or nothing; files that are needed no more go after the commit."""
        now = self._clock.now()
        heard = datetime.fromtimestamp(now.utc, UTC).isoformat()
        place = replace(place, heard=heard)
        files = Files(self._workspace, self._model)
        try:
            states = {
                kind.name: kind.unpack(files, found)
                for kind in KINDS.values()
                if (found := _states_of(items, kind.name))
            }
            with self._workspace.database.write() as session:
                page = ApplyContext(self._workspace, session, now, place.snapshot)
                done = self._write(page, items, states, last)
                if done:
                    page.entries.append(Entry(now, "sync_applied", dict(done)))
                self._workspace.journal.append(page.entries, session)
                if REFUSED in done:
                    settings_store.set_(session, REFUSED_BY, __version__)
                elif settings_store.get(session, REFUSED_BY) not in (None, __version__):
                    settings_store.set_(session, REFUSED_BY, None)
                settings_store.set_(session, KEY, asdict(place))
        except BaseException as error:
            self._workspace.files.delete(*files.written)
            if isinstance(error, IntegrityError):
                raise HubUnreachable("the hub's answer contradicts itself") from error
            raise
        self._workspace.files.delete(*page.unneeded)
        if done.keys() & {"erased", "gone"}:
            self._workspace.forget_gallery()
            self._workspace.erase_traces()

    def _write(
        self,
        page: ApplyContext,
        items: Sequence[_Item],
        states: Mapping[str, Mapping[str, Any]],
        last: bool,
    ) -> Counter[str]:
        """Apply a page; return how much was done by its kind."""
        session = page.session
        of_persons = all(i.op == "put" and i.kind == change_feed.PERSON for i in items)
        if last or not of_persons:  # the locks in their order: see `change_feed`
            settings_store.touch_gallery(session)
            settings_store.touch_rules(session)
        done = Counter(i.op for i in items)
        for name, found in states.items():
            KINDS[name].apply(page, found)
        for item in (i for i in items if i.op == REFUSED):
            # the hub still gives it: as it was known here it stays
            hub_ownership.name_again(session, item.kind, item.uid, page.snapshot)
        erased = [i.uid for i in items if i.op == "erased"]
        page.unneeded += replica.erase(session, self._workspace.journal, page.now, erased)
        for item in sorted((i for i in items if i.op == "gone"), key=_order):
            KINDS[item.kind].drop(page, item.uid)
        if last:
            edge_edit_store.send_again(session)
            behind = replica.behind(session, page.snapshot)
            done["gone"] += len(behind)
            for name, uid in sorted(behind, key=lambda thing: _DROPPED.index(thing[0])):
                KINDS[name].drop(page, uid)
        # a thing that is neither there nor gone must not count as one that was
        return +done


class _understood:  # noqa: N801
    """Raises HubUnreachable where an answer makes no sense outside of its items."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, KeyError | TypeError | ValueError | AttributeError):
            raise HubUnreachable("the hub's answer cannot be understood") from error


_UID = re.compile(r"[0-9A-Za-z_-]{1,64}")

_DROPPED = tuple(reversed(list(KINDS)))
"""All kinds in the order in which they are dropped."""


def _order(item: _Item) -> int:
    """Sort what goes behind what still named it."""
    return _DROPPED.index(item.kind)


def _states_of(items: Sequence[_Item], kind: str) -> dict[str, State]:
    return {i.uid: i.state for i in items if i.kind == kind and i.state is not None}


def _refused(item: Any) -> _Item:
    named = item if isinstance(item, Mapping) else {}
    kind, uid = str(named.get("kind")), str(named.get("uid"))
    return _Item(REFUSED, kind, uid) if _UID.fullmatch(uid) else _Item(REFUSED, kind, "")


def _read(item: Mapping[str, Any], envelopes: Envelopes, model: str) -> _Item:
    """Read one item. Raises: ValueError, KeyError, TypeError, SealError for what is none."""
    op, kind, uid = str(item["op"]), str(item["kind"]), str(item["uid"])
    if op not in ("put", "gone", "erased") or kind not in KINDS or not _UID.fullmatch(uid):
        raise ValueError(f"{op} {kind} is not known to this version")
    if op != "put":
        return _Item(op, kind, uid)
    sent = envelopes.open(item["sealed"], context(kind, uid))
    return _Item(op, kind, uid, KINDS[kind].state.from_wire(sent, model))
