"""The iterations: staged start, residuals and forces read while they come, and the judgement when they are enough."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hub.runfolder import Attempt
from hub.solver import StageError
from solvers.cfd.openfoam import program
from solvers.cfd.openfoam.conditions import Inlet, Outlet
from solvers.cfd.openfoam.foamfile import Field, Reals, head, read_field, text
from solvers.cfd.openfoam.polymesh import PolyMesh
from solvers.cfd.openfoam.setup import Setup

#: Iterations of the first order start, and over which what is judged must stand still.
START, WINDOW = 100, 100
#: Behind a blunt body a flow may swing for ever. Then means of its forces are taken over so many iterations, and they
#: are enough when those over as many before are the same to this share; means of coefficients that swing are common
#: for blunt bodies (Ansys Fluent Aero, User's Guide, 37.3, which asks the same of a moving average).
SWING, MEANS = 200, 0.01
#: The peak speed may exceed the reference speed so many times before the iterations are called diverging.
WILD = 50.0
RESIDUAL = re.compile(r"Solving for (\w+), Initial residual = (\S+), Final residual = (\S+), No Iterations (\d+)")
CONTINUITY = re.compile(r"continuity errors : sum local = (\S+), global = (\S+), cumulative = (\S+)")
PEAK = re.compile(r"max\(mag\(U\)\) = (\S+) in cell \S+ at location \((\S+) (\S+) (\S+)\)")


@dataclass
class History:
    """What was watched, a row an iteration.

    residuals : of each equation, initial; forces : (n, 3) on the bodies [N]; drop : mean pressure of the inlets over
    that of the outlets [Pa]
    """

    residuals: list[dict[str, float]] = field(default_factory=list)
    forces: list[tuple[float, float, float]] = field(default_factory=list)
    drop: list[float] = field(default_factory=list)

    def window(self) -> int:
        """Over how many of the last iterations things are judged: a fifth of all, but not too few."""
        return max(WINDOW, len(self.residuals) // 5)

    def wander(self, values: Reals, *, swings: bool = False) -> Reals:
        """Half the span of each column of values (n, k) over the window: the bar of what the iterations leave.

        swings : over all that the means of swings were judged by
        """
        last = values[-(2 * SWING if swings else self.window()) :]
        return np.asarray(np.ptp(last, axis=0) / 2) if len(last) else np.zeros(values.shape[1:])

    def mean(self) -> Reals:
        """Mean force (3,) [N] over the last iterations, which hold some swings."""
        return np.asarray(np.array(self.forces)[-SWING:].mean(axis=0))

    def drift(self) -> float:
        """By what share the mean force differs from that of the swings before; 1 where there were too few of them."""
        if len(self.forces) < START + 2 * SWING:
            return 1.0
        forces = np.array(self.forces)
        now, before = forces[-SWING:].mean(axis=0), forces[-2 * SWING : -SWING].mean(axis=0)
        return float(np.abs(now - before).max() / max(float(np.linalg.norm(now)), 1e-300))


def rough(mesh: PolyMesh) -> bool:
    """Whether most cells are tetrahedra, whose faces stand askew."""
    return float(np.mean(np.diff(mesh.first) == 3)) > 0.5 and not any(p.kind == "empty" for p in mesh.patches)


class Iterations:
    """simpleFoam on one mesh, from a start to its judgement."""

    def __init__(self, setup: Setup, mesh: PolyMesh, case: Path, attempt: Attempt, *, ranks: int, label: str) -> None:
        """label : which mesh this is, as people read it"""
        self.setup, self.mesh, self.case, self.attempt = setup, mesh, case, attempt
        self.ranks, self.label = ranks, label
        self.history = History()
        self.stop = case / "stop"
        self.peak = (0.0, (0.0, 0.0, 0.0))
        self.continuity = 0.0
        self._row: dict[str, float] = {}
        self._done = 0
        self._forces = Tail(case / "postProcessing" / "forces")
        ends = {Inlet: 1.0, Outlet: -1.0}
        self._pressures = [
            (Tail(case / "postProcessing" / f"pressure_{b.name}"), sign, area)
            for kind, sign in ends.items()
            for b in setup.of(kind)
            if (area := float(np.linalg.norm(mesh.geometry[1][mesh.of_patches([b.name])], axis=1).sum())) > 0
        ]
        self.speed = setup.speed(mesh)

    @property
    def limit(self) -> int:
        return int(self.setup.bound.params.iterations)

    def run(self, mapped: Path | None = None) -> History:
        """Every stage. mapped : a solved case on another mesh to start from. Raises StageError where it diverges."""
        setup, case = self.setup, self.case
        setup.write_constant(case)
        setup.write_fields(case, self.mesh)
        start = 0 if mapped is not None else min(START, self.limit // 2)
        self._control(0, max(start, 1), upwind=True)
        if mapped is not None:
            program.run(case, "mapFields", str(mapped), "-consistent", "-sourceTime", "latestTime")
        else:
            self._tell("potential flow as a start")
            program.run(case, "potentialFoam", "-initialiseUBCs", "-writephi")
            flux = read_field(case / "0" / "phi", self.mesh.sizes, len(self.mesh.neighbour))
            setup.write_fields(case, self.mesh, velocity_of(self.mesh, flux))
        if self.ranks > 1:
            (case / "system" / "decomposeParDict").write_text(decomposition(self.ranks))
            program.run(case, "decomposePar", "-force")
        if start:
            self._stage(0, start, upwind=True)
        self._stage(start, self.limit, upwind=False)
        if self.ranks > 1:
            program.run(case, "reconstructPar", "-latestTime")
        return self.history

    def _control(self, start: int, end: int, *, upwind: bool) -> None:
        self.setup.write_control(self.case, start=start, end=end, stop=self.stop, upwind=upwind, rough=rough(self.mesh))

    def _stage(self, start: int, end: int, *, upwind: bool) -> None:
        self._control(start, end, upwind=upwind)
        doing = "first order start" if upwind else "second order"
        watch = self._watch(doing, judge=not upwind)
        try:
            program.run(self.case, "simpleFoam", ranks=self.ranks, watch=watch)
        except StageError as error:
            if error.code == "openfoam" and ("infinite" in error.message or self.peak[0] > WILD * self.speed):
                raise self._diverged() from None
            raise

    def _watch(self, doing: str, *, judge: bool) -> Callable[[str], None]:
        def watch(line: str) -> None:
            if line.startswith("Time = "):
                self._end_of_row()
            elif found := RESIDUAL.search(line):
                self._row.setdefault(found[1], float(found[2]))
            elif found := CONTINUITY.search(line):
                self.continuity = float(found[1])
            elif found := PEAK.search(line):
                self.peak = (float(found[1]), (float(found[2]), float(found[3]), float(found[4])))
                if not self.peak[0] < WILD * self.speed:
                    raise self._diverged()
            elif line.startswith("ExecutionTime") and self._row:
                self._end_of_row()
                self._report(doing)
                if judge and self.settled() and not self.stop.exists():
                    self.stop.touch()

        return watch

    def _end_of_row(self) -> None:
        if self._row:
            if any(not math.isfinite(v) for v in self._row.values()):
                raise self._diverged()
            self.history.residuals.append(self._row)
            self._row = {}
            self._done += 1

    def _report(self, doing: str) -> None:
        """Read what the monitors wrote, and tell it, every tenth time."""
        if self._done % 10:
            return
        self.read_monitors()
        values = {f"residual_{name}": v for name, v in self.history.residuals[-1].items()}
        if self.history.forces:
            values |= dict(zip(("force_x", "force_y", "force_z"), self.history.forces[-1], strict=True))
        if self.history.drop:
            values["pressure_drop"] = self.history.drop[-1]
        values["peak_speed"] = self.peak[0]
        self._tell(doing, **values)
        self.attempt.record(iteration=self._done, **values)

    def _tell(self, doing: str, **values: float) -> None:
        self.attempt.write_status(step=self._done, of=self.limit, doing=f"{self.label}: {doing}", **values)

    def read_monitors(self) -> None:
        """What the forces and pressures are by now."""
        for row in self._forces.rows():
            self.history.forces.append((row[1], row[2], row[3]))
        for tail, _, _ in self._pressures:
            tail.keep()
        count = min((len(t.kept) for t, _, _ in self._pressures), default=0)
        for i in range(len(self.history.drop), count):
            mean = {1.0: [0.0, 0.0], -1.0: [0.0, 0.0]}
            for tail, sign, area in self._pressures:
                mean[sign][0] += tail.kept[i][1] * area
                mean[sign][1] += area
            drop = mean[1.0][0] / mean[1.0][1] - mean[-1.0][0] / mean[-1.0][1]
            self.history.drop.append(drop * self.setup.density)

    def unsteadiness(self) -> float:
        """By what share forces and pressure drop wandered over the window; 1 where it is too early to say."""
        count = self.history.window()
        if len(self.history.residuals) < START + count:
            return 1.0
        worst = 0.0
        if self.history.forces:
            forces = np.array(self.history.forces)
            scale = max(float(np.linalg.norm(forces[-count:].mean(axis=0))), 1e-300)
            worst = float(self.history.wander(forces).max()) / scale
        if len(self.history.drop) and not self.setup_is_external:
            drops = np.array(self.history.drop)
            scale = max(abs(float(drops[-count:].mean())), 1e-3 * 0.5 * self.setup.density * self.speed**2)
            worst = max(worst, float(self.history.wander(drops[:, None])[0]) / scale)
        return worst

    @property
    def swings(self) -> bool:
        """Whether the forces never came to rest, but their means did."""
        params = self.setup.bound.params
        at_rest = self.residual() <= params.residual and self.unsteadiness() <= params.tolerance
        return not at_rest and self.setup_is_external and self.history.drift() <= MEANS

    @property
    def setup_is_external(self) -> bool:
        return self.setup.bound.case.domain.kind == "around"

    def residual(self) -> float:
        """The largest initial residual of the last iterations, any equation."""
        last = self.history.residuals[-10:]
        return max((v for row in last for v in row.values()), default=1.0)

    def settled(self) -> bool:
        """Whether residuals are small and nothing that is asked for moves any more, or only swings about its mean."""
        params = self.setup.bound.params
        if self._done % 10:
            return False
        at_rest = self.residual() <= params.residual and self.unsteadiness() < params.tolerance
        return at_rest or (self.setup_is_external and self.history.drift() <= MEANS)

    def _diverged(self) -> StageError:
        speed, place = self.peak
        where = ", ".join(f"{v:.4g}" for v in place)
        return StageError(
            "diverged",
            f"The iterations diverged after {self._done} on the {self.label}: the peak speed grew to {speed:.3g} m/s, "
            f"{speed / max(self.speed, 1e-300):.0f} times that of the inlet, near ({where}) m.",
            "Look at the mesh there: refine it, or move the inlet and the outlet further from the place.",
        )


def decomposition(ranks: int) -> str:
    """How the mesh is shared among ranks."""
    return head("dictionary", "decomposeParDict") + text(
        {"numberOfSubdomains": ranks, "method": "simple", "coeffs": {"n": [ranks, 1, 1]}}
    )


def velocity_of(mesh: PolyMesh, flux: Field) -> Reals:
    """The velocity (n_cells, 3) [m/s] in cells whose faces let these volumes [m3/s] through, by least squares.

    potentialFoam has such a step, which on tetrahedra gave speeds a hundred thousand times too large (version 1912 of
    Debian); the volumes themselves are right.
    """
    area = mesh.geometry[1]
    through = np.zeros(len(area))
    through[: len(mesh.neighbour)] = flux.inside
    for patch in mesh.patches:
        if len(flux.patches.get(patch.name, ())):
            through[patch.faces] = flux.patches[patch.name]
    unit = area / np.linalg.norm(area, axis=1)[:, None]
    matrix, right = np.zeros((mesh.cells, 3, 3)), np.zeros((mesh.cells, 3))
    for cells, faces in ((mesh.owner, slice(None)), (mesh.neighbour, slice(len(mesh.neighbour)))):
        np.add.at(matrix, cells, unit[faces, :, None] * area[faces, None])
        np.add.at(right, cells, unit[faces] * through[faces, None])
    return np.asarray(np.linalg.solve(matrix, right[:, :, None])[:, :, 0])


class Tail:
    """A monitor's file, read as it grows. Its stages write a file each, in folders named by the start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: list[tuple[float, ...]] = []
        self._at: dict[Path, int] = {}

    def rows(self) -> list[tuple[float, ...]]:
        """The whole lines that are new, as numbers."""
        found = []
        folders = sorted(self.folder.iterdir(), key=lambda f: float(f.name)) if self.folder.is_dir() else []
        for folder in folders:
            for file in [f for f in folder.iterdir() if f.name.startswith(("force.dat", "surfaceFieldValue"))]:
                with file.open() as stream:
                    stream.seek(self._at.get(file, 0))
                    content = stream.read()
                whole = content[: content.rfind("\n") + 1]
                self._at[file] = self._at.get(file, 0) + len(whole.encode())
                for line in whole.splitlines():
                    if not line.startswith("#"):
                        found.append(tuple(float(v) for v in re.sub(r"[()]", " ", line).split()))
        return found

    def keep(self) -> None:
        self.kept += self.rows()
