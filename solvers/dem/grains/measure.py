"""What is measured while the grains move: flows, zones, loads on walls, mixing, surfaces, frames."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hub.runfolder import Attempt
from solvers.dem.grains import bed
from solvers.dem.grains.conditions import Fill, Outlet, Reals, Zone
from solvers.dem.grains.engine import Engine, Hook
from solvers.dem.grains.film import Frame
from solvers.dem.grains.insert import BORN, GROUP
from solvers.dem.grains.machine import Machine, beyond
from solvers.dem.grains.parallel import MPI
from solvers.dem.grains.plan import PACKED, Plan

#: Columns that travel with each grain before those of the zones, and the columns of a zone: time inside [s], visits,
#: whether it is inside now.
FIRST, PER_ZONE = 2, 3
#: Samples over the time after settling; of those that the bed on a grid is measured at, one in so many.
SAMPLES, GRIDDED = 400, 10
#: Looks at outlets and zones over the time after settling.
LOOKS = 4000
#: Grains in a cell in which mixing is judged.
IN_CELL = 20


@dataclass
class Seen:
    """What was seen of one run, on rank 0.

    series : figures over the time after settling, the first of them ``time``
    out : a row each look at which grains left: time [s], outlet, mass [kg], grains; residence : times inside [s]
    pressing, shearing, sliding : (facets of the mesh,) impulses [N s] and normal force times sliding [J]
    loaded : for how long [s]
    """

    series: dict[str, list[float]] = field(default_factory=dict)
    out: list[tuple[float, int, float, int]] = field(default_factory=list)
    residence: list[float] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    pressing: Reals = field(default_factory=lambda: np.zeros(0))
    shearing: Reals = field(default_factory=lambda: np.zeros(0))
    sliding: Reals = field(default_factory=lambda: np.zeros(0))
    loaded: float = 0.0
    grid: bed.Grid | None = None
    filled: Reals = field(default_factory=lambda: np.zeros(0))  # sums over samples: solid volume [m3] of cells
    moved: Reals = field(default_factory=lambda: np.zeros((0, 4)))  # mass [kg] and momentum [kg m/s] of cells
    gridded: int = 0


class Recorder:
    """Measures one run. Its calls are collective; what it finds is on rank 0, in `seen`."""

    def __init__(self, plan: Plan, machine: Machine, attempt: Attempt, comm: MPI.Intracomm) -> None:
        self.plan, self.machine, self.attempt, self.comm = plan, machine, attempt, comm
        self.outlets, self.zones = plan.of(Outlet), plan.of(Zone)
        self.columns = FIRST + PER_ZONE * len(self.zones)
        self.seen = Seen()
        params = plan.params
        self.every = params.duration / SAMPLES
        self.look_every = max(params.duration / LOOKS, plan.step)
        self.frame_every = plan.until / params.frames
        self.wanted = {w.kind: w.component for w in plan.bound.case.quantities}
        self.kinds = len(plan.species) if len(plan.species) > 1 else len(plan.of(Fill))
        self.by_species = len(plan.species) > 1
        self._last_look = 0.0
        self._samples = 0

    @property
    def first(self) -> bool:
        return self.comm.rank == 0

    def begin(self, engine: Engine) -> None:
        """Settling is over: what was counted until now counts no more."""
        for wall in self.machine.walls:
            engine.loads(wall.name)
        n = len(self.machine.mesh.facets)
        self.seen.pressing, self.seen.shearing, self.seen.sliding = np.zeros(n), np.zeros(n), np.zeros(n)
        self._last_look = engine.time
        grains = engine.gather()
        if grains is not None and len(grains.id):
            low, high = self.plan.corners
            for wall in self.machine.walls:
                corners = wall.triangles.reshape(-1, 3)
                low, high = np.minimum(low, corners.min(axis=0)), np.maximum(high, corners.max(axis=0))
            grid = bed.Grid.around(low, high, 6 * float(np.median(grains.radius)), most=30_000)
            self.seen.grid = grid
            self.seen.filled, self.seen.moved = np.zeros(grid.cells), np.zeros((grid.cells, 4))
        self.sample(engine)

    def hooks(self, settling: bool, say: Callable[[Engine], None]) -> list[Hook]:
        """What is called between steps, while the grains settle and after it."""
        found = [Hook(self.frame_every, self.frame), Hook(self.frame_every, say)]
        if self.outlets or (self.zones and not settling):
            found.append(Hook(self.look_every, self.look))
        return found if settling else [*found, Hook(self.every, self.sample)]

    # --- looks at outlets and zones -------------------------------------------------------------------------------

    def look(self, engine: Engine) -> None:
        """Take away what has left, and see who is in the zones."""
        since, self._last_look = engine.time - self._last_look, engine.time
        if self.outlets:
            grains = engine.grains
            gone = np.full(len(grains.id), -1)
            for k, outlet in enumerate(self.outlets):
                gone[(gone < 0) & beyond(grains.position, outlet)] = k
            sums = np.zeros((len(self.outlets), 2))
            for k in range(len(self.outlets)):
                sums[k] = grains.mass[gone == k].sum(), (gone == k).sum()
            self.comm.Allreduce(MPI.IN_PLACE, sums, MPI.SUM)
            if sums[:, 1].any():
                ages = self.comm.gather(engine.time - grains.carried[gone >= 0, BORN])
                engine.remove(gone >= 0)
                if ages is not None:
                    self.seen.residence += np.concatenate(ages).tolist()
                    self.seen.out += [(engine.time, k, float(m), int(n)) for k, (m, n) in enumerate(sums) if n]
        if engine.time > self.plan.params.settling:
            grains = engine.grains
            for k, zone in enumerate(self.zones):
                inside = zone.region.contains(grains.position)
                column = FIRST + PER_ZONE * k
                grains.carried[:, column] += since * inside
                grains.carried[:, column + 1] += inside & (grains.carried[:, column + 2] == 0)
                grains.carried[:, column + 2] = inside

    # --- samples --------------------------------------------------------------------------------------------------

    def sample(self, engine: Engine) -> None:
        """Figures of this moment."""
        loads = [engine.loads(w.name) for w in self.machine.walls]
        grains = engine.gather()
        if grains is None:
            return
        seen, plan = self.seen, self.plan
        row: dict[str, float] = {
            "time": engine.time - plan.params.settling,
            "grains": len(grains.id),
            "mass": float(grains.mass.sum()),
            "kinetic": float(0.5 * (grains.mass * (grains.velocity**2).sum(axis=1)).sum()),
        }
        for wall, rows, load in zip(self.machine.walls, self.machine.rows, loads, strict=True):
            if load.time > 0:
                row[f"power {wall.name}"] = load.work / load.time
                for axis, f in zip("xyz", load.impulse / load.time, strict=True):
                    row[f"force {axis} {wall.name}"] = float(f)
                seen.pressing[rows] += load.pressing
                seen.shearing[rows] += load.shearing
                seen.sliding[rows] += load.sliding
        seen.loaded += max((load.time for load in loads), default=0.0)
        for w in plan.bound.case.quantities:
            if w.kind == "wall_pressure" and w.on is not None and loads and loads[0].time > 0:
                row[f"pressure {w.on}"] = self._pressure(w.on, loads)
        for zone in self.zones:
            row[f"zone {zone.name}"] = float(grains.mass[zone.region.contains(grains.position)].sum())
        if self.kinds > 1 and len(grains.id):
            size = (IN_CELL / PACKED * 4 / 3 * math.pi * float((grains.radius**3).mean())) ** (1 / 3)
            found = bed.mixing(grains.position, self.kind(grains), size)
            if found is not None:
                row["lacey"], row["rsd"] = found
        if "repose_angle" in self.wanted:
            shape = self.wanted["repose_angle"] or "cone"
            row["repose"] = bed.slope(grains.position, grains.radius, -plan.down, shape)
        if seen.grid is not None and self._samples % GRIDDED == 0:
            cell = seen.grid.cell(grains.position)
            seen.filled += bed.solid(seen.grid, grains.position, grains.radius)
            seen.moved[:, 0] += seen.grid.sums(cell, grains.mass)
            for axis in range(3):
                seen.moved[:, 1 + axis] += seen.grid.sums(cell, grains.mass * grains.velocity[:, axis])
            seen.gridded += 1
        self._samples += 1
        blank = [math.nan] * (len(seen.series.get("time", ())))
        for name, value in row.items():
            seen.series.setdefault(name, list(blank)).append(value)
        for name, values in seen.series.items():
            if name not in row:
                values.append(math.nan)

    def _pressure(self, selection: str, loads: list[Any]) -> float:
        """Mean normal pressure on a selection [Pa] since the last sample."""
        facets, total, time = self.machine.facets(selection), 0.0, 0.0
        for rows, load in zip(self.machine.rows, loads, strict=True):
            total += float(load.pressing[np.isin(rows, facets)].sum())
            time = max(time, load.time)
        return total / time / float(self.areas()[facets].sum())

    def areas(self) -> Reals:
        """(facets,) [m2]"""
        c = self.machine.mesh.points[self.machine.mesh.facets]
        return np.asarray(np.linalg.norm(np.cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0]), axis=1) / 2)

    def kind(self, grains: Any) -> Any:
        """(n,) whole numbers by which grains are told apart: their species, or the filling they came by."""
        return grains.material if self.by_species else grains.carried[:, GROUP].astype(np.int64)

    # --- frames ---------------------------------------------------------------------------------------------------

    def frame(self, engine: Engine) -> None:
        """Keep a picture of this moment, of every n-th grain where there are too many."""
        grains = engine.gather()
        if grains is None:
            return
        every = math.ceil(max(1, self.plan.grains / self.plan.params.drawn))
        # by a hash of the number: grains put in one after another must not be thinned in stripes
        chosen = (grains.id * 2654435761 % 2**32 // 65536) % every == 0
        self.seen.frames.append(
            Frame(
                engine.time,
                grains.position[chosen].astype(np.float32),
                {
                    "radius": grains.radius[chosen].astype(np.float32),
                    "velocity": grains.velocity[chosen].astype(np.float32),
                    "kind": self.kind(grains)[chosen].astype(np.int32),
                    "id": grains.id[chosen].astype(np.int64),
                },
            )
        )
        out = sum(m for _, _, m, _ in self.seen.out)
        kinetic = float(0.5 * (grains.mass * (grains.velocity**2).sum(axis=1)).sum())
        latest = {k: v[-1] for k, v in self.seen.series.items() if k in ("lacey", "repose")}
        self.attempt.record(time=engine.time, grains=len(grains.id), kinetic_energy=kinetic, mass_out=out, **latest)

    # --- checkpoints ----------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a later attempt needs to go on: plain data, and arrays."""
        s = self.seen
        plain = {
            "series": s.series,
            "out": s.out,
            "residence": s.residence,
            "loaded": s.loaded,
            "gridded": s.gridded,
            "last_look": self._last_look,
            "samples": self._samples,
            "times": [f.time for f in s.frames],
            "grid": None if s.grid is None else [s.grid.low.tolist(), s.grid.size, s.grid.count.tolist()],
        }
        arrays = {k: getattr(s, k) for k in ("pressing", "shearing", "sliding", "filled", "moved")}
        for i, f in enumerate(s.frames):
            arrays |= {f"frame {i} points": f.points, **{f"frame {i} {k}": v for k, v in f.fields.items()}}
        return plain, arrays

    def restore(self, plain: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        s = self.seen
        s.series, s.residence = plain["series"], plain["residence"]
        s.out = [tuple(row) for row in plain["out"]]
        s.loaded, s.gridded = plain["loaded"], plain["gridded"]
        self._last_look, self._samples = plain["last_look"], plain["samples"]
        for k in ("pressing", "shearing", "sliding", "filled", "moved"):
            setattr(s, k, arrays[k])
        if plain["grid"]:
            low, size, count = plain["grid"]
            s.grid = bed.Grid(np.array(low), size, np.array(count))
        for i, time in enumerate(plain["times"]):
            fields = {k: arrays[f"frame {i} {k}"] for k in ("radius", "velocity", "kind", "id")}
            s.frames.append(Frame(time, arrays[f"frame {i} points"], fields))
