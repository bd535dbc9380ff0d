"""Grains put into regions without overlap: fillings in batches as they fall away, inlets at a rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from hub.problem import excerpt
from hub.solver import StageError
from solvers.dem.grains.conditions import Fill, Inlet, Reals, Region
from solvers.dem.grains.engine import Engine, Hook
from solvers.dem.grains.machine import Machine
from solvers.dem.grains.plan import THROWN, Plan

#: Rounds of throwing into one region, and the share of a batch below which another round is not worth it.
ROUNDS, WORTH = 12, 0.02
#: Columns that travel with each grain: number of the filling or inlet it came by, and when [s].
GROUP, BORN = 0, 1
#: An inlet that lags behind by what comes in this long [s] is blocked.
LAG = 0.5


class Feeder:
    """Puts the grains of a case where it says. Every rank throws the same dice.

    columns : of the caller's that travel with each grain, the first two as above
    """

    def __init__(self, plan: Plan, machine: Machine, columns: int, seed: int) -> None:
        self.plan, self.machine, self.columns = plan, machine, columns
        self.rng = np.random.default_rng(seed)
        self.fills, self.inlets = plan.of(Fill), plan.of(Inlet)
        self.waiting: list[Reals] = [plan.species[f.of].sizes.draw(plan.count(f), self.rng) / 2 for f in self.fills]
        self.owed = [0.0] * len(self.inlets)  # mass [kg] that an inlet is behind
        self.fed_until = plan.params.settling
        self.fed = 0.0  # mass put in so far [kg]

    def start(self, engine: Engine) -> None:
        """Look whether there is room at all, and put in the first batch. Raises StageError."""
        for i, c in enumerate((*self.fills, *self.inlets)):
            points = c.region.draw(400, np.random.default_rng(0))
            inside = self.machine.material(points)
            if inside.mean() > 0.5:
                low, high = c.region.box()
                raise StageError(
                    "inlet-in-wall",
                    f"The region of the {c.kind} {i + 1}, from {_mm(low)} to {_mm(high)} mm, lies inside the material "
                    f"of the walls ({inside.mean():.0%} of it).",
                    "Move it to where the grains shall be; the check shows the part with its size.",
                )
        self.fill(engine)

    def hooks(self) -> list[Hook]:
        """What puts in more as there is room."""
        clears = [max(0.25 * self.plan.clears(c), 20 * self.plan.step) for c in self.fills]
        found = [Hook(min(clears), self.fill)] if self.fills else []
        if self.inlets:
            rate = max(c.mass_flow / self.plan.mean_mass(c.of) for c in self.inlets)
            found.append(Hook(max(1 / rate, 0.25 * min(self.plan.clears(c) for c in self.inlets)), self.feed))
        return found

    def fill(self, engine: Engine) -> None:
        """The next batch of each filling."""
        for i, c in enumerate(self.fills):
            if not len(self.waiting[i]):
                continue
            placed = self._throw(engine, c.region, self.waiting[i], THROWN)
            self._put(engine, c, i, placed, self.waiting[i][: len(placed)])
            self.waiting[i] = self.waiting[i][len(placed) :]

    def close(self, engine: Engine) -> None:
        """Settling is over: all grains of the fillings must be in. Raises StageError."""
        for i, c in enumerate(self.fills):
            if not len(self.waiting[i]):
                continue
            total, settling = self.plan.count(c), self.plan.params.settling
            raise StageError(
                "no-room",
                f"Only {total - len(self.waiting[i])} of {total} grains of filling {i + 1} ({excerpt(c.of)}) found "
                f"room in the {settling:.3g} s of settling.",
                "Take fewer grains, a larger or higher region, or a longer time to settle (parameters.settling).",
            )

    def feed(self, engine: Engine) -> None:
        """What the inlets owe by now. Raises StageError where one is blocked."""
        since, self.fed_until = engine.time - self.fed_until, max(engine.time, self.fed_until)
        for i, c in enumerate(self.inlets):
            self.owed[i] += c.mass_flow * max(since, 0.0)
            density = self.plan.species[c.of].density
            count = int(self.owed[i] / self.plan.mean_mass(c.of))
            if count:
                radii = self.plan.species[c.of].sizes.draw(count, self.rng) / 2
                placed = self._throw(engine, c.region, radii, THROWN)
                self._put(engine, c, len(self.fills) + i, placed, radii[: len(placed)])
                self.owed[i] -= float((4 / 3 * math.pi * radii[: len(placed)] ** 3).sum() * density)
            if self.owed[i] > c.mass_flow * (LAG + 4 * self.plan.clears(c)) + 5 * self.plan.mean_mass(c.of):
                raise StageError(
                    "inlet-blocked",
                    f"Inlet {i + 1} of {excerpt(c.of)} is {self.owed[i]:.3g} kg behind at {engine.time:.3g} s: grains "
                    "that came in before fill its region.",
                    "Take a smaller mass flow or a larger region, or let the grains leave faster.",
                )

    def _put(self, engine: Engine, c: Fill | Inlet, group: int, points: Reals, radii: Reals) -> None:
        if not len(points):
            return
        carried = np.zeros((len(points), self.columns))
        carried[:, GROUP], carried[:, BORN] = group, engine.time
        velocity = np.tile(np.array(c.velocity), (len(points), 1))
        engine.insert(points, radii, c.of, velocity=velocity, carried=carried)
        self.fed += float((4 / 3 * math.pi * radii**3).sum() * self.plan.species[c.of].density)

    def _throw(self, engine: Engine, region: Region, radii: Reals, fraction: float) -> Reals:
        """(k, 3) places of the first k of the grains with these radii, touching nothing; k is what finds room."""
        volume = np.cumsum(4 / 3 * math.pi * radii**3)
        radii = radii[: max(1, int(np.searchsorted(volume, fraction * region.volume)))]
        wide = float(radii.max())
        found = np.zeros((0, 3))
        for _ in range(ROUNDS):
            left = radii[len(found) :]
            if not len(left):
                break
            # as many throws as grains are missing, each for the largest: those that fit can be told to any
            points = region.draw(min(3 * len(left) + 8, 200_000), self.rng)
            points = points[region.contains(points, wide)]
            points = points[~self.machine.material(points)] if len(points) else points
            if len(found) and len(points):
                points = points[cKDTree(found).query(points)[0] > 2 * wide]
            pairs = cKDTree(points).query_pairs(2 * wide, output_type="ndarray") if len(points) else np.zeros((0, 2))
            kept = np.ones(len(points), bool)
            kept[pairs[:, 1].astype(int)] = False
            points = points[kept]
            if len(points):
                points = points[engine.free(points, np.full(len(points), wide))]
            found = np.concatenate([found, points[: len(left)]])
            if len(points) < WORTH * len(radii):
                break
        return found

    # --- checkpoints ---

    def state(self) -> dict[str, Any]:
        """What a later attempt needs to go on, as plain data."""
        return {
            "rng": self.rng.bit_generator.state,
            "waiting": [len(w) for w in self.waiting],
            "owed": self.owed,
            "fed_until": self.fed_until,
            "fed": self.fed,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`; the sizes still waiting are those of the same seed."""
        self.rng.bit_generator.state = state["rng"]
        self.waiting = [w[len(w) - n :] for w, n in zip(self.waiting, state["waiting"], strict=True)]
        self.owed, self.fed_until, self.fed = list(state["owed"]), state["fed_until"], state["fed"]


def _mm(point: Reals) -> str:
    return "(" + ", ".join(f"{1e3 * x:.4g}" for x in point) + ")"
