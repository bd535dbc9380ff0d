"""One run of a case from its first grain to its end, with checkpoints on the way."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from hub.runfolder import Attempt
from solvers.dem.grains import bed
from solvers.dem.grains.checkpoint import NUMBERS
from solvers.dem.grains.conditions import Drag, Fill, Periodic, Reals
from solvers.dem.grains.engine import Balance, Engine, Gas, Grains, Hook
from solvers.dem.grains.insert import Feeder
from solvers.dem.grains.machine import Machine
from solvers.dem.grains.measure import Recorder, Seen
from solvers.dem.grains.parallel import MPI
from solvers.dem.grains.plan import Plan

#: Wall time between checkpoints [s].
KEPT_EVERY = 120.0
#: Most grains whose settled bed is measured unasked.
MEASURED = 100_000
#: Decades below the energy of the fastest grain, and bins of a decade, of the spectrum of collisions.
DECADES, BINS = 10, 4


@dataclass(frozen=True)
class Run:
    """What one run gave; `last` and `seen` are of rank 0, None and empty elsewhere.

    settled : solid fraction of the settled bed and its bar; collided : collisions after settling by bins of `energies`
    """

    seen: Seen
    last: Grains | None
    balance: Balance
    fed: float
    settled: tuple[float, float] | None
    energies: Reals
    collided: Reals
    steps: int


def follow(plan: Plan, machine: Machine, attempt: Attempt, comm: MPI.Intracomm, number: int) -> Run:
    """Follow the grains of a case to the end, as repeat `number` of it. Collective. Raises StageError."""
    params = plan.params
    recorder = Recorder(plan, machine, attempt, comm)
    feeder = Feeder(plan, machine, recorder.columns, params.seed + number)
    energies = spectrum(plan)
    periods: list[tuple[float, float] | None] = [None, None, None]
    for p in plan.of(Periodic):
        periods["xyz".index(p.axis)] = (p.low, p.high)
    drag = next(iter(plan.of(Drag)), None)

    def doing(what: str) -> None:
        if comm.rank == 0:
            attempt.write_status(0, params.repeats * params.frames, what)

    engine = Engine(
        plan.laws(),
        machine.walls,
        dt=plan.step,
        gravity=tuple(plan.gravity),  # type: ignore[arg-type]
        gas=Gas(drag.density, drag.viscosity, drag.velocity) if drag else None,
        periodic=periods,
        bounds=machine.bounds(plan),
        carried=recorder.columns,
        spectrum=energies if len(energies) else None,
        comm=comm,
        say=doing,
    )
    keeper = Keeper(engine, feeder, recorder, attempt, number)
    resumed = keeper.resume()
    if not resumed:
        feeder.start(engine)
        recorder.frame(engine)

    def say(engine: Engine) -> None:
        if comm.rank == 0:
            step = round((number + engine.time / plan.until) * params.frames)
            what = "settling" if engine.time < params.settling else "following the grains"
            attempt.write_status(step, params.repeats * params.frames, what, time=engine.time, grains=engine.count)

    filling = feeder.hooks()
    # the last batch must be in when settling ends, which is looked at once it has
    if engine.time < params.settling - 0.5 * plan.step:
        engine.run(params.settling, [*filling, *recorder.hooks(True, say), keeper.hook()])
    if engine.time < params.settling + 0.5 * plan.step and keeper.settled is None:
        if plan.of(Fill):
            feeder.close(engine)
        before = engine.gather()
        if before is not None and (len(before.id) <= MEASURED or "bulk_density" in recorder.wanted):
            keeper.settled = bed.fraction(before.position, before.radius)
        keeper.collided = engine.collisions()
        recorder.begin(engine)
    feeding = [h for h in filling if h.call == feeder.feed]
    engine.run(plan.until, [*feeding, *recorder.hooks(False, say), keeper.hook()])
    return Run(
        seen=recorder.seen,
        last=engine.gather(),
        balance=engine.balance(),
        fed=feeder.fed,
        settled=keeper.settled,
        energies=energies,
        collided=engine.collisions() - keeper.collided,
        steps=engine.steps,
    )


def spectrum(plan: Plan) -> Reals:
    """Energies [J] that part the bins of the collision spectrum; empty if it is not wanted."""
    if not any(w.kind == "collision_rate" for w in plan.bound.case.quantities):
        return np.zeros(0)
    heaviest = max(s.density * s.sizes.ends()[1] ** 3 for s in plan.species.values()) * np.pi / 6
    largest = 0.5 * heaviest * plan.speed**2
    return np.asarray(largest * 10.0 ** (np.arange(-DECADES * BINS, BINS + 1) / BINS))


class Keeper:
    """Writes checkpoints of a run and goes on from them: ``grains.npz`` of the engine, ``seen.npz`` of the rest.

    Both carry the step at which they were written: one of a pair that a crash has parted is not gone on with.
    """

    def __init__(self, engine: Engine, feeder: Feeder, recorder: Recorder, attempt: Attempt, number: int) -> None:
        self.engine, self.feeder, self.recorder, self.attempt, self.number = engine, feeder, recorder, attempt, number
        self.settled: tuple[float, float] | None = None
        self.collided = np.zeros(0)
        self._kept_at = time.monotonic()

    def hook(self) -> Hook:
        return Hook(self.recorder.frame_every, self._when_due)

    def _when_due(self, engine: Engine) -> None:
        due = engine.comm.bcast(time.monotonic() - self._kept_at > KEPT_EVERY)
        if due:
            self.keep()
            self._kept_at = time.monotonic()

    def keep(self) -> None:
        """Write a checkpoint. Collective."""
        self.engine.save(self.attempt.checkpoint)
        if not self.recorder.first:
            return
        plain, arrays = self.recorder.state()
        document = {
            "steps": self.engine.steps,
            "number": self.number,
            "plan": self.plan_digest,
            "feeder": self.feeder.state(),
            "recorder": plain,
            "settled": self.settled,
            "collided": self.collided.tolist(),
        }
        part = self.attempt.checkpoint / ".seen.npz.part"
        with part.open("wb") as stream:
            np.savez(stream, document=np.frombuffer(json.dumps(document).encode(), np.uint8), **arrays)
        part.replace(self.attempt.checkpoint / "seen.npz")

    @property
    def plan_digest(self) -> str:
        return f"{self.recorder.plan.step!r} {self.recorder.plan.grains} {self.recorder.plan.until!r}"

    def resume(self) -> bool:
        """Go on from an earlier attempt's checkpoint, if there is one of this run. Collective."""
        folder = self.attempt.earlier
        found: dict[str, Any] | None = None
        arrays: dict[str, Any] = {}
        if folder is not None and (folder / "seen.npz").is_file() and (folder / "grains.npz").is_file():
            with np.load(folder / "seen.npz", allow_pickle=False) as data:
                arrays = {k: data[k] for k in data.files if k != "document"}
                found = json.loads(data["document"].tobytes())
        if folder is None or found is None:
            return False
        with np.load(folder / "grains.npz", allow_pickle=False) as data:
            steps = int(data["numbers"][NUMBERS.index("steps")])
        here = {"number": self.number, "plan": self.plan_digest, "steps": steps}
        if any(found[key] != value for key, value in here.items()):
            return False
        self.engine.load(folder)
        self.feeder.restore(found["feeder"])
        self.recorder.restore(found["recorder"], arrays)
        self.settled = tuple(found["settled"]) if found["settled"] else None
        self.collided = np.array(found["collided"])
        return True
