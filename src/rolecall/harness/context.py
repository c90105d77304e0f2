"""What a run works with: its options, and everything that is opened before the first request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rolecall.embedded import embedded_target
from rolecall.evidence import Evidence
from rolecall.harness.clock_turn import clock_turn
from rolecall.harness.options import Options
from rolecall.harness.rehearsal import stand_in
from rolecall.harness.scheduler import Scheduler
from rolecall.http.client import Client
from rolecall.http.gate import Gate
from rolecall.ledger import LEDGER, Ledger
from rolecall.ready_made import check_names
from rolecall.redaction import Secrets
from rolecall.replay.layers import ReplayedLayers
from rolecall.replay.moments import ReplayedLoop
from rolecall.replay.recording import RecordedRun
from rolecall.run_folder import make_folder, new_run_id
from rolecall.spec.loading import load_specification
from rolecall.spec.model import Dialect, Specification
from rolecall.target import Target, load_target
from rolecall.token_bank import SpoiledBank, TokenBank
from rolecall.toolkit.attacker import Attacker
from rolecall.toolkit.expiry import Expiry
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.observed_cells import ObservedCells
from rolecall.toolkit.responses import Responses
from rolecall.toolkit.world import World


@dataclass(frozen=True)
class RunContext:
    """A run's folder, event loop and world; ``started`` in seconds since 1970, ``monotonic`` is the
    same moment.

    The attributes that `collection.OFFERED` names are what tests ask for.
    """

    id: str
    folder: Path
    started: float
    monotonic: float
    spec: Specification
    target: Target
    dialect: Dialect
    secrets: Secrets
    evidence: Evidence
    scheduler: Scheduler
    world: World
    judge: Judge
    expiry: Expiry
    attacker: Attacker
    observed: ObservedCells
    responses: Responses
    recording: RecordedRun | None
    stack: ExitStack  # what is left when the run is closed

    @classmethod
    def open(cls, options: Options) -> RunContext:
        """Read the target file, or start the embedded server; make the folder and the world.

        Raises:
            RolecallError: the target file is wrong, the server does not start, or the folder cannot
                be made.
        """
        # Longer than 40 lines because it sets every attribute once.
        spec = load_specification()
        with ExitStack() as opening:
            recording = RecordedRun.read(options.replay) if options.replay else None
            target = recording.target if recording else _target(options, spec, opening)
            dialect = spec.dialect(target.dialect, target.source)
            _check_target(spec, target, dialect, is_replayed=bool(recording))
            if options.target and not recording:
                opening.enter_context(clock_turn(target.expiry.clock_url))
            secrets, evidence = secrets_of(target, spec), Evidence()
            if recording:
                opening.enter_context(recording.moments.everywhere())
            started, monotonic = time.time(), time.monotonic()
            id = recording.id if recording else new_run_id(started)
            secrets.spare(id)
            folder = make_folder(options.out / id)
            loop = ReplayedLoop(recording.moments) if recording else None
            memory = recording.memory("") if recording else None
            scheduler = Scheduler(2 * target.concurrency, loop, memory)
            scheduler.open()
            opening.callback(scheduler.close)
            ledger = Ledger(folder / LEDGER)
            ledger.note(
                "run",
                run=id,
                name=target.name,
                base_url=target.base_url,
                target=str(options.target or ""),
            )
            gate = Gate(
                ledger,
                target.base_url,
                target.accounts.values(),
                clock_url=target.expiry.clock_url,
                may_make=target.may_make,
                read_only=options.read_only,
                tries_denied=target.attempt_denied_writes,
            )
            layers = ReplayedLayers(recording) if recording else None
            client = Client(target, evidence, secrets, gate, layers)
            world = World(target, spec, client, id, intrusive=options.intrusive)
            stack = opening.pop_all()
        return cls(
            id=id,
            folder=folder,
            started=started,
            monotonic=monotonic,
            spec=spec,
            target=target,
            dialect=dialect,
            secrets=secrets,
            evidence=evidence,
            scheduler=scheduler,
            world=world,
            judge=Judge(world),
            expiry=Expiry(world),
            attacker=Attacker(world),
            observed=ObservedCells(scheduler.cells, world.spec.operations, world.dialect),
            responses=Responses(evidence, world.spec, target),
            recording=recording,
            stack=stack,
        )


def _target(options: Options, spec: Specification, opening: ExitStack) -> Target:
    """The target of the file, or the embedded server, with what the options say instead."""
    if options.target:
        target = load_target(options.target, spec.roles)
        if options.rehearse:
            target = opening.enter_context(stand_in(target, spec.roles))
    else:
        target = opening.enter_context(embedded_target(spec.roles, options.serve_option))
    if options.rate is not None:
        target = replace(target, rate_limit=options.rate)
    if options.concurrency is not None:
        target = replace(target, concurrency=options.concurrency)
    return target


def _check_target(
    spec: Specification, target: Target, dialect: Dialect, *, is_replayed: bool
) -> None:
    """Say what is wrong with the target's operations and token bank before anything is sent."""
    spec.for_target(target.operations, dialect, target.source)
    reads = [name for name in spec.operations if name.startswith("fetch-")]
    check_names(target.fixtures, spec.resources, reads, target.source)
    if target.expiry.bank and not is_replayed:
        with suppress(SpoiledBank):  # the run goes on without it, and says so
            TokenBank.of(target.expiry, target.base_url).deposits()


def secrets_of(target: Target, spec: Specification) -> Secrets:
    """The target file's secrets, told apart from what is public."""
    secrets = Secrets()
    secrets.spare(*_public_words(spec, target))
    for value, kind in target.secrets:
        secrets.add(value, kind)
    return secrets


def _public_words(spec: Specification, target: Target) -> Iterator[str]:
    """What the reports of a run say anyway: its words are not hidden even if a secret has them."""
    for entry in spec.requirements.values():
        yield f"{entry.id} {entry.feature} {entry.clause} {entry.statement}"
    for operation in spec.operations.values():
        yield f"{operation.name} {operation.row} {operation.path} {operation.resource.name}"
    yield from (str(cell) for cell in spec.cells)
    yield from (f"{account.name} {account.email}" for account in target.accounts.values())
    yield from (
        *spec.roles,
        target.name,
        target.base_url,
        target.expiry.clock_url,
        target.api_keys.create_path,
    )
