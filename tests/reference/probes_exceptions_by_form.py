"""Questions that show the faults of forms that few send."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from rolecall.jwt_forging import compact, signed_by
from tests.reference.asking import Api, Probe, sees


def opened(method: str, path: str, resource: str, **options: object) -> Probe:
    """Whether a guest gets something done at a path of a thing."""

    async def probe(api: Api) -> bool:
        id, own = api.put(resource), api.user("guest")["id"]
        where = path.format(id=id, own=own)
        return (await api.ask(method, where, "guest", **options)).is_success

    return probe


for _name, _probe in (
    (
        "merge-patches-unguarded",
        opened(
            "PATCH",
            "/v2/forms/{id}",
            "forms",
            content=b'{"name":"a"}',
            headers={"content-type": "application/merge-patch+json"},
        ),
    ),
    ("empty-updates-unguarded", opened("PATCH", "/v2/forms/{id}", "forms", json={})),
    (
        "preflights-unguarded",
        opened("GET", "/v2/forms", "forms", headers={"access-control-request-method": "GET"}),
    ),
    ("admin-in-query-unguarded", opened("GET", "/v2/forms?admin=true", "forms")),
    ("rare-methods-read", opened("PROPFIND", "/v2/forms/{id}", "forms")),
    ("ids-beside-the-own-unguarded", opened("GET", "/v2/users/{own},{id}", "users")),
    ("wildcard-for-an-id-lists", opened("GET", "/v2/users/*", "users")),
    ("routes-of-the-page-unguarded", opened("GET", "/v2/organizationGroups", "orggroups")),
    ("singular-routes-unguarded", opened("GET", "/v2/form/{id}", "forms")),
    ("any-thing-by-its-id", opened("GET", "/v2/conversations/{id}", "forms")),
    ("searches-unguarded", opened("GET", "/v2/forms/search", "forms")),
    ("asked-with-a-text-unguarded", opened("GET", "/v2/forms?q=a", "forms")),
    (
        "children-of-an-organization-unguarded",
        opened("GET", "/v2/organizations?parent=a", "organizations"),
    ),
    ("what-is-new-unguarded", opened("GET", "/v2/forms?updatedAt=%3E2020", "forms")),
):
    sees(_name)(_probe)


@sees("second-key-in-the-code")
async def signed_with_secret(api: Api) -> bool:
    header = {"alg": "HS256", "typ": "JWT"}
    return await api.accepted(compact(header, api.claims("admin"), signed_by("HS256", b"secret")))
