"""Use a generated client against a gate, from its folder: python walk.py ADDRESS PASSWORD"""

# openapi-python-client makes what is imported; there mypy looks at this file as well.
from __future__ import annotations

import importlib
import pkgutil
import sys

import gated_client
from gated_client import AuthenticatedClient, Client
from gated_client.api.accounts import accounts_login
from gated_client.api.attendance import attendance_list, attendance_punch
from gated_client.api.persons import persons_create, persons_list
from gated_client.models.accounts_login_sign_in_form import AccountsLoginSignInForm
from gated_client.models.person_in import PersonIn
from gated_client.models.person_out import PersonOut
from gated_client.models.problem import Problem
from gated_client.models.punch_in import PunchIn
from gated_client.models.punch_in_direction import PunchInDirection
from gated_client.models.token_out import TokenOut


def main(address: str, password: str) -> None:
    for module in pkgutil.walk_packages(gated_client.__path__, "gated_client."):
        importlib.import_module(module.name)
    form = AccountsLoginSignInForm(username="the-admin", password=password)
    signed = accounts_login.sync(client=Client(base_url=address), body=form)
    assert isinstance(signed, TokenOut), signed
    client = AuthenticatedClient(base_url=address, token=signed.access_token)
    ada = PersonIn(first_name="Ada", last_name="Byron", personnel_code="PY1")
    made = persons_create.sync(client=client, body=ada)
    assert isinstance(made, PersonOut), made
    again = persons_create.sync(client=client, body=ada)
    assert isinstance(again, Problem), again
    assert again.code == "personnel_code_taken"
    listed = persons_list.sync_detailed(client=client, q="PY1", limit=10)
    assert isinstance(listed.parsed, list)
    assert [p.personnel_code for p in listed.parsed] == ["PY1"]
    assert listed.headers["X-Total-Count"] == "1"
    punch = PunchIn(person_id=made.id, direction=PunchInDirection.ENTRY, reason="a trial")
    attendance_punch.sync(client=client, body=punch)
    rows = attendance_list.sync(client=client, person_id=made.id, limit=10)
    assert isinstance(rows, list)
    assert rows[0].person is not None
    print("went well")


if __name__ == "__main__":
    main(*sys.argv[1:])
