"""Updates of single members: what was answered with success is stored, nested and lists too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rolecall.evidence import Exchange
from rolecall.outcomes import Finding, Inconclusive, NotApplicable
from rolecall.spec.ids import Place, texts_in
from rolecall.spec.loading import load_specification
from rolecall.toolkit.kept_log_ins import expect_log_in
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.things import Fixture
from rolecall.toolkit.world import World

#: What many kinds of things keep besides: it is written at their creation where the target takes
#: it.
MORE: dict[str, Any] = {"meta": {"note": "{name}"}, "tags": ["{name}"]}
#: Members that say what a thing is, whose it is or what it may: a server may keep these as they
#: were made, and say so or not.
_NOT_TRIED = re.compile(
    r"(?i).*id|e-?mail|password|role|scopes?|status|type|organi[sz]ation|parent|participants|messages|conversation|.*at"
)

#: Of these, what no update changes that does not name it.
_IDENTITY = re.compile(r"(?i)e-?mail|role|scope|type|organi[sz]ation|parent|conversation")

#: The kinds of things that are emptied; all of them with ``--intrusive``.
_EMPTIED = ("organization", "conversation", "contact")


@dataclass(frozen=True)
class Written:
    """A member that was updated alone: its old values by their places, and what the update was
    answered.
    """

    member: str
    before: Mapping[Place, Any]
    answer: Exchange

    @property
    def named(self) -> set[str]:
        """The members that were sent: a target may have asked for others besides."""
        return set(json.loads(self.answer.request_body))

    def lost(self, document: Any) -> list[str]:
        """The places whose value is still the old one."""
        return [
            ".".join(map(str, path))
            for path, value in self.before.items()
            if at(document, path) == value
        ]


def disturbed(
    sent: Iterable[str],
    updates: Iterable[Written],
    before: Mapping[str, Any],
    now: Mapping[str, Any],
) -> Iterator[str]:
    """What was written and shown, and is shown no more; and of what no update named, the texts that
    say what a thing is, whose it is or what it may, where they are others now.
    """
    named = set[str]().union(*(written.named for written in updates))
    for name in sent:
        was, is_now = before.get(name), now.get(name)
        if was and is_now is None:
            yield f"{name} is gone"
        elif name in named or not isinstance(was, str):
            continue
        elif _IDENTITY.fullmatch(name) and is_now != was:
            yield f"{name} is {is_now!r}, and was {was!r}"


def leaves(value: Any, path: Place = ()) -> Iterator[tuple[Place, str]]:
    """The texts in a value but for addresses, and where they are."""
    return ((place, text) for place, text in texts_in(value, path) if "@" not in text)


def at(document: Any, path: Place) -> Any:
    """What stands at a place of a document; None where there is nothing."""
    for step in path:
        if isinstance(step, str):
            document = document.get(step) if isinstance(document, Mapping) else None
        else:
            document = (
                document[step] if isinstance(document, list) and step < len(document) else None
            )
    return document


def changed(value: Any) -> Any:
    """The same value with other texts in it: each as it was, and a little longer."""
    if isinstance(value, Mapping):
        return {name: changed(member) for name, member in value.items()}
    if isinstance(value, list):
        return [changed(member) for member in value]
    return f"{value}2" if isinstance(value, str) and "@" not in value else value


@requirement("SEC-E10")
@each("resource", load_specification().resources)
async def test_each_member_is_updated(resource: str, world: World) -> None:
    """Each member that is written and shown can be updated alone, and then differs; the others are
    as they were.
    """
    fixture, sent = await full(world, resource)
    before = await world.observe(fixture) or {}

    updates = await update_each(world, fixture, sent, before)

    if not updates:
        raise NotApplicable(
            f"no member of a {resource} that was written is shown and can be updated alone"
        )
    await expect_written(world, fixture, updates, sent, before)
    if resource == "user":
        await expect_log_in(world, fixture, world.roles[-2], updates[-1].answer)
    if resource in _EMPTIED or world.intrusive:
        await expect_emptied(world, fixture, {written.member for written in updates} & MORE.keys())


async def update_each(
    world: World, fixture: Fixture, sent: Mapping[str, Any], before: Mapping[str, Any]
) -> list[Written]:
    """Update each member alone that was sent and is shown as sent; what the target took."""
    updates, whole = [], dict(sent)
    for name, value in sent.items():
        if _NOT_TRIED.fullmatch(name):
            continue
        kept = {path: text for path, text in leaves(value, (name,)) if at(before, path) == text}
        if kept and (answer := await update(world, fixture, name, value, whole)):
            updates.append(Written(name, kept, answer))
            whole[name] = changed(value)
    return updates


async def expect_written(
    world: World,
    fixture: Fixture,
    updates: list[Written],
    sent: Mapping[str, Any],
    before: Mapping[str, Any],
) -> None:
    """What was updated differs, and the rest is as it was.

    Raises:
        Finding: it is not so when a target that works in the background has had its time.
    """
    now: dict[str, Any] = {}

    async def is_written() -> bool:
        now.clear()
        now.update(await world.observe(fixture) or {})
        return not any(disturbed(sent, updates, before, now)) and not any(
            written.lost(now) for written in updates
        )

    last, what = updates[-1].answer, f"{fixture.resource.name} member by member"
    if await world.patience.until(is_written, last.finished, what):
        return
    if others := list(disturbed(sent, updates, before, now)):
        raise Finding(
            f"the other members of {fixture} as they were",
            f"{last.status}, and {'; '.join(others)}",
            last,
        )
    written = next(written for written in updates if written.lost(now))
    raise Finding(
        f"{', '.join(written.lost(now))} of {fixture} as updated",
        f"{written.answer.status}, and it reads as before",
        written.answer,
    )


async def expect_emptied(world: World, fixture: Fixture, members: set[str]) -> None:
    """An update to an empty list or object that was answered with success is stored.

    Raises:
        Finding: a member that the answer shows as empty is not.
    """
    admin = await world.user(world.highest)
    plain = await world.request(
        world.spec.operations[f"update-{fixture.resource.name}"], admin, fixture
    )
    body = {name: type(MORE[name])() for name in sorted(members)}
    if not body:
        return
    answer = await world.send(
        plain.operation.method, plain.path, admin, json=body, about=plain.thing
    )
    emptied = {
        name for name, value in body.items() if answer.ok and answer.document.get(name) == value
    }
    full: set[str] = set()

    async def is_empty() -> bool:
        shown = await world.observe(fixture) or {}
        full.clear()
        full.update(name for name in emptied if shown.get(name))
        return not full

    if emptied and not await world.patience.until(
        is_empty, answer.finished, f"{fixture.resource.name} emptied"
    ):
        raise Finding(
            f"{', '.join(sorted(full))} of {fixture} empty, as answered",
            f"{answer.status}, and it is not",
            answer,
        )


async def full(world: World, resource: str) -> tuple[Fixture, dict[str, Any]]:
    """A new thing with as many members as the target takes, and what was sent; a user with a role
    that no target gives where none is named.

    Raises:
        Inconclusive: none can be made.
    """
    admin, operation = await world.user(world.highest), world.spec.operations[f"create-{resource}"]
    plain = await world.request(operation, admin)
    rare = [{"role": world.roles[-2]}] if resource == "user" else []
    for more in (*rare, {}):
        request = replace(plain, body={**world.fill(MORE, name=plain.name), **plain.body, **more})
        answer = await world.perform(request, admin)
        if answer.ok:
            break
    fixture = await world.made(request, answer) if answer.ok else None
    if fixture is None:
        raise Inconclusive(f"a {resource} to update: {answer}", operation.requirement)
    body = json.loads(answer.request_body)
    return await world.wait_for(fixture), body if isinstance(body, dict) else {}


async def update(
    world: World, fixture: Fixture, name: str, value: Any, whole: Mapping[str, Any]
) -> Exchange | None:
    """Update one member of a thing as the highest role; the answer, or None where it is refused:
    not every member can be updated alone.

    A target that updates by PUT is sent the ``whole`` thing with this member changed: PUT replaces
    (RFC 9110 9.3.4), and what it does not name may go.
    """
    admin = await world.user(world.highest)
    plain = await world.request(
        world.spec.operations[f"update-{fixture.resource.name}"], admin, fixture
    )
    others = whole if plain.operation.method == "PUT" else {}
    request = world.members.understood(replace(plain, body={**others, name: changed(value)}))
    if name not in request.body:
        return None
    answer = await world.send(
        request.operation.method, request.path, admin, json=request.body, about=request.thing
    )
    return answer if answer.ok else None
