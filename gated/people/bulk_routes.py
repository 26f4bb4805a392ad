"""One act on several people, with an answer for each."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gated.change import Change
from gated.http.answers import Route
from gated.http.callers import Admin, Operator
from gated.http.problems import problem_of, responses
from gated.people.bulk import BulkOutcome, each
from gated.people.dependencies import Editor, PeopleServices, Services
from gated.people.person_editor import PersonEditor
from gated.people.schemas import BulkEraseIn, BulkIn, BulkResultOut, ErasureReceiptOut

router = APIRouter(prefix="/api/persons", tags=["persons"], route_class=Route)


@router.post("/bulk", responses=responses(400, 413))
def bulk(
    body: BulkIn, operator: Operator, services: Services, editor: Editor
) -> list[BulkResultOut]:
    """Switch people on or off, or let them join or leave a group; a result for each."""

    def act(change: Change, id_: int) -> None:
        _act(body, services, editor, change, id_)

    done = each(services.workspace, operator.username, body.ids, act)
    return [_told(outcome) for outcome in done]


def _act(
    body: BulkIn, services: PeopleServices, editor: PersonEditor, change: Change, id_: int
) -> None:
    match body.act, body.group:
        case "join", int(group):
            services.groups.join(change, group, id_)
        case "leave", int(group):
            services.groups.leave(change, group, id_)
        case switch, _:
            editor.set_active(change, id_, switch == "activate")


@router.post("/bulk-erase", responses=responses(400, 413))
def bulk_erase(body: BulkEraseIn, admin: Admin, services: Services) -> list[BulkResultOut]:
    """Erase several people, whose number has to be given as well; a receipt for each."""

    def act(change: Change, id_: int) -> Any:
        erase, reason = services.people.delete, body.reason
        return erase(change, id_, reason=reason, override=body.override)

    done = each(services.workspace, admin.username, body.ids, act)
    state = services.workspace.traces_state()
    return [_told(one, one.made and ErasureReceiptOut.of(one.made, state)) for one in done]


def _told(outcome: BulkOutcome, receipt: ErasureReceiptOut | None = None) -> BulkResultOut:
    if outcome.error is None:
        return BulkResultOut(person_id=outcome.person_id, done=True, receipt=receipt)
    said = problem_of(outcome.error).content
    return BulkResultOut(
        person_id=outcome.person_id, done=False, code=said["code"], detail=said["detail"]
    )
