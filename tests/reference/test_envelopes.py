"""What is wrapped round a thing, and what a delete leaves."""

from __future__ import annotations

import pytest

from rolecall.envelopes import Document, own_id
from rolecall.reference.settings import Settings
from tests.reference.asking import QUICK, Api, read, with_api

#: Whose things cannot be read as they are.
ENVELOPES = {
    "answers-in-data",
    "answers-under-their-name",
    "answers-as-json-api",
    "members-in-pascal-case",
    "ids-in-uid",
}


@pytest.mark.parametrize("name", sorted(ENVELOPES))
def test_what_is_wrapped_is_there(name: str) -> None:
    """A thing is made, fetched and listed, in a wrapping or with other names of its members."""

    async def story(api: Api) -> None:
        made = read(await api.ask("POST", "/v2/contacts", "admin", json={"meta": {"a": 1}}))
        id = own_id(Document(made).thing)
        assert id
        assert made.get("id") is None
        fetched = Document(read(await api.ask("GET", f"/v2/contacts/{id}", "admin"))).thing
        assert own_id(fetched) == id
        listed = Document(read(await api.ask("GET", "/v2/contacts", "admin"))).things
        assert id in map(own_id, listed or ())

    with_api(Settings(scrypt_n=QUICK, faults=(name,)), story)


def test_what_is_archived_is_shown_so() -> None:
    """What was deleted is shown with the status archived."""

    async def story(api: Api) -> None:
        made = read(await api.ask("POST", "/v2/contacts", "admin", json={"meta": {"a": 1}}))
        path = f"/v2/contacts/{made['id']}"
        assert (await api.ask("DELETE", path, "admin")).status_code == 204
        assert read(await api.ask("GET", path, "admin"))["status"] == "archived"

    with_api(Settings(scrypt_n=QUICK, variants=("deletes-archive",)), story)
