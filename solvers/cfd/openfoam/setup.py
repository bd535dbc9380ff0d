"""A case of OpenFOAM made from a case of ours: patches with what holds on them, schemes, solvers and monitors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hub.case import Around, Material
from hub.meshfile import MeshFile
from hub.solver import BoundCase, StageError
from solvers.cfd.openfoam.conditions import Inlet, Outlet, Slip, Symmetry, Wall
from solvers.cfd.openfoam.foamfile import Integers, Reals, head, raw, text, word, write_dictionary
from solvers.cfd.openfoam.polymesh import PolyMesh

#: C_mu of the k-epsilon family: omega = sqrt(k) / (C_mu^(1/4) L) (Versteeg and Malalasekera, 2nd ed., 3.7).
C_MU = 0.09
#: Whose walls are the ones whose forces are asked for in a box around a part.
PART = "part"


@dataclass(frozen=True)
class Boundary:
    """One patch: faces that are alike in condition and in the selections they are part of.

    faces : CAD faces; selections : names; condition : what was said of it, None for what faces are by default
    """

    name: str
    faces: tuple[int, ...]
    selections: frozenset[str]
    condition: Inlet | Outlet | Wall | Slip | Symmetry

    @property
    def kind(self) -> str:
        """What OpenFOAM calls such a patch."""
        match self.condition:
            case Wall():
                return "wall"
            case Symmetry():
                return "symmetry"
        return "patch"


class Setup:
    """The boundaries of a case, its fluid and what is given at them."""

    def __init__(self, bound: BoundCase, mesh: MeshFile) -> None:
        """Raises StageError where the mesh does not have what the case names."""
        self.bound, self.mesh = bound, mesh
        self.fluid: Material = bound.materials[0][1]
        assert self.fluid.density and self.fluid.dynamic_viscosity
        self.density = self.fluid.density
        self.nu = self.fluid.dynamic_viscosity / self.density
        self.turbulent = bound.params.model != "laminar"
        self.boundaries = self._boundaries()

    def _boundaries(self) -> tuple[Boundary, ...]:
        mesh, conditions = self.mesh, self.bound.conditions
        on_skin = {int(f) for f in np.unique(_skin(mesh))}
        of_face: dict[int, int] = {}
        for i, c in enumerate(conditions):
            for name in c.on:
                for face in mesh.selections.get(name, ()):
                    if of_face.setdefault(face, i) != i:
                        other = conditions[of_face[face]]
                        raise StageError(
                            "contradiction",
                            f"{c.kind} on {name} and {other.kind} on {', '.join(other.on)} share a face.",
                            "Select other faces, or remove one of the two.",
                        )
        alike: dict[tuple[int, frozenset[str]], list[int]] = {}
        for face in sorted(on_skin):
            names = frozenset(n for n, faces in mesh.selections.items() if face in faces)
            alike.setdefault((of_face.get(face, -1), names), []).append(face)
        for i, c in enumerate(conditions):
            if not any(key[0] == i for key in alike):
                raise StageError(
                    "nowhere",
                    f"{c.kind} on {', '.join(c.on)} lies on no outer face of the fluid.",
                    "Select a face at the rim of the fluid.",
                )
        return tuple(
            Boundary(f"b{k}", tuple(faces), names, conditions[i] if i >= 0 else _by_default(names))
            for k, ((i, names), faces) in enumerate(alike.items())
        )

    def named(self, selection: str) -> list[str]:
        """The patches of a selection."""
        return [b.name for b in self.boundaries if selection in b.selections]

    def of(self, kind: type) -> list[Boundary]:
        return [b for b in self.boundaries if isinstance(b.condition, kind)]

    @cached_property
    def bodies(self) -> list[str]:
        """The patches whose forces tell how far the iterations are: the part in a box around it, else every wall."""
        walls = self.of(Wall)
        if isinstance(self.bound.case.domain, Around):
            return [b.name for b in walls if PART in b.selections]
        return [b.name for b in walls]

    # --- what enters ------------------------------------------------------------------------------------------

    def velocity(self, b: Boundary, mesh: PolyMesh) -> Reals:
        """The velocity (n_faces, 3) [m/s] at the faces of an inlet."""
        c = b.condition
        assert isinstance(c, Inlet)
        together = [o.name for o in self.boundaries if o.condition is c]
        centre, area = mesh.geometry
        mine, all_of_it = mesh.of_patches([b.name]), mesh.of_patches(together)
        size = np.linalg.norm(area[mine], axis=1)
        inward = -area[mine] / size[:, None]
        if c.vector is not None:
            return np.tile(np.array(c.vector), (len(mine), 1))
        if c.table is not None:
            return inward * _of_table(c, centre[mine], centre[all_of_it])[:, None]
        shape = np.ones(len(all_of_it))
        if c.profile == "developed":
            shape = power_law(mesh, all_of_it)
        total = float((shape * np.linalg.norm(area[all_of_it], axis=1)).sum())
        whole = float(np.linalg.norm(area[all_of_it], axis=1).sum())
        flow = c.volume_flow or (c.mass_flow or 0.0) / self.density or (c.velocity or 0.0) * whole
        return inward * (shape[np.isin(all_of_it, mine)] * flow / total)[:, None]

    def speed(self, mesh: PolyMesh) -> float:
        """The mean speed of the first inlet, or the reference speed given [m/s]."""
        if self.bound.params.reference_speed:
            return float(self.bound.params.reference_speed)
        first = self.of(Inlet)[0]
        size = np.linalg.norm(mesh.geometry[1][mesh.of_patches([first.name])], axis=1)
        return float(np.linalg.norm(self.velocity(first, mesh), axis=1) @ size / size.sum())

    def turbulence(self, b: Boundary, mesh: PolyMesh) -> tuple[float, float]:
        """Kinetic energy k [m2/s2] and frequency omega [1/s] of the turbulence that enters."""
        c = b.condition
        assert isinstance(c, Inlet)
        faces = mesh.of_patches([o.name for o in self.boundaries if o.condition is c])
        size = np.linalg.norm(mesh.geometry[1][faces], axis=1)
        mine = np.linalg.norm(mesh.geometry[1][mesh.of_patches([b.name])], axis=1)
        speed = float(np.linalg.norm(self.velocity(b, mesh), axis=1) @ mine / mine.sum())
        k = 1.5 * (c.turbulence_intensity * speed) ** 2
        if c.viscosity_ratio is not None:
            return k, k / (c.viscosity_ratio * self.nu)
        length = c.turbulence_length or 0.07 * math.sqrt(4 * float(size.sum()) / math.pi)
        return k, math.sqrt(k) / (C_MU**0.25 * length)

    # --- fields -----------------------------------------------------------------------------------------------

    def write_fields(self, case: Path, mesh: PolyMesh, velocity: Reals | None = None) -> None:
        """The fields to start from, ``0/``. velocity : (n_cells, 3) [m/s], at rest if not given"""
        inlets = {b.name: self.turbulence(b, mesh) for b in self.of(Inlet)}
        k, omega = max(v[0] for v in inlets.values()), max(v[1] for v in inlets.values())
        fields: dict[str, tuple[str, str, Any, dict[str, Any]]] = {
            "U": ("volVectorField", "[0 1 -1 0 0 0 0]", [0, 0, 0], {b.name: self._U(b, mesh) for b in self.boundaries}),
            "p": ("volScalarField", "[0 2 -2 0 0 0 0]", 0, {b.name: self._p(b) for b in self.boundaries}),
        }
        if self.turbulent:
            rows = {b.name: self._turbulent(b, k, omega, inlets.get(b.name)) for b in self.boundaries}
            kinds = {"k": ("[0 2 -2 0 0 0 0]", k), "omega": ("[0 0 -1 0 0 0 0]", omega), "nut": ("[0 2 -1 0 0 0 0]", 0)}
            fields |= {
                name: ("volScalarField", unit, start, {n: row[name] for n, row in rows.items()})
                for name, (unit, start) in kinds.items()
            }
        (case / "0").mkdir(parents=True, exist_ok=True)
        empty = {p.name: {"type": "empty"} for p in mesh.patches if p.kind == "empty"}
        there = set(mesh.sizes)
        for name, (kind, unit, start, rows) in fields.items():
            rows = {n: row for n, row in rows.items() if n in there} | empty
            with (case / "0" / name).open("wb") as stream:
                stream.write(head(kind, name, binary=True).encode())
                stream.write(f"dimensions {unit};\ninternalField ".encode())
                if name == "U" and velocity is not None:
                    stream.write(b"nonuniform List<vector> " + raw(velocity))
                else:
                    stream.write(f"uniform {word(start)}".encode())
                stream.write(b";\nboundaryField\n{\n")
                for patch, row in rows.items():
                    values = row.pop("values", None)
                    stream.write(f"{patch}\n{{\n{text(row)}".encode())
                    if values is not None:
                        stream.write(b"value nonuniform List<vector> " + raw(values) + b";\n")
                    stream.write(b"}\n")
                stream.write(b"}\n")

    def _U(self, b: Boundary, mesh: PolyMesh) -> dict[str, Any]:
        match b.condition:
            case Inlet():
                return {"type": "fixedValue", "values": self.velocity(b, mesh)}
            case Outlet():
                return {"type": "inletOutlet", "inletValue": "uniform (0 0 0)", "value": "uniform (0 0 0)"}
            case Wall(rotation=turn) if turn is not None:
                return {
                    "type": "rotatingWallVelocity", "origin": turn.about, "axis": turn.axis, "omega": turn.speed,
                    "value": "uniform (0 0 0)",
                }  # fmt: skip
            case Wall(velocity=v):
                return {"type": "fixedValue", "value": f"uniform {word(v or (0, 0, 0))}"}
            case Slip():
                return {"type": "slip"}
        return {"type": "symmetry"}

    def _p(self, b: Boundary) -> dict[str, Any]:
        match b.condition:
            case Outlet(pressure=p):
                return {"type": "fixedValue", "value": f"uniform {word(p / self.density)}"}
            case Slip():
                return {"type": "slip"}
            case Symmetry():
                return {"type": "symmetry"}
        return {"type": "zeroGradient"}

    def _turbulent(
        self, b: Boundary, k: float, omega: float, given: tuple[float, float] | None
    ) -> dict[str, dict[str, Any]]:
        match b.condition:
            case Inlet():
                assert given
                return {
                    "k": {"type": "fixedValue", "value": f"uniform {given[0]!r}"},
                    "omega": {"type": "fixedValue", "value": f"uniform {given[1]!r}"},
                    "nut": {"type": "calculated", "value": "uniform 0"},
                }
            case Outlet():
                rows = {
                    name: {"type": "inletOutlet", "inletValue": f"uniform {v!r}", "value": f"uniform {v!r}"}
                    for name, v in (("k", k), ("omega", omega))
                }
                return {**rows, "nut": {"type": "calculated", "value": "uniform 0"}}
            case Wall():  # one formula from the viscous layer to the logarithmic one (Spalding 1961), whatever y+ is
                return {
                    "k": {"type": "kqRWallFunction", "value": f"uniform {k!r}"},
                    "omega": {"type": "omegaWallFunction", "blended": True, "value": f"uniform {omega!r}"},
                    "nut": {"type": "nutUSpaldingWallFunction", "value": "uniform 0"},
                }
        kind = "slip" if isinstance(b.condition, Slip) else "symmetry"
        return {name: {"type": kind} for name in ("k", "omega", "nut")}

    # --- control ----------------------------------------------------------------------------------------------

    def write_constant(self, case: Path) -> None:
        """The fluid and the model of turbulence."""
        write_dictionary(case / "constant" / "transportProperties", {"transportModel": "Newtonian", "nu": self.nu})
        model: dict[str, Any] = {"simulationType": "laminar"}
        if self.turbulent:
            model = {
                "simulationType": "RAS",
                "RAS": {"RASModel": "kOmegaSST", "turbulence": True, "printCoeffs": False},
            }
        write_dictionary(case / "constant" / "turbulenceProperties", model)

    def write_control(self, case: Path, *, start: int, end: int, stop: Path, upwind: bool, rough: bool) -> None:
        """``system/``. upwind : first order, for the start; rough : cells are skewed, as tetrahedra are"""
        monitors: dict[str, Any] = {
            "stop": {
                "type": "abort", "libs": ['"libutilityFunctionObjects.so"'], "file": f'"{stop}"', "action": "writeNow",
            },
            "peak": {
                "type": "fieldMinMax", "libs": ['"libfieldFunctionObjects.so"'], "fields": ["U"], "mode": "magnitude",
                "location": True, "log": True, "writeControl": "timeStep", "writeInterval": 1,
            },
        }  # fmt: skip
        if self.bodies:
            monitors["forces"] = {
                "type": "forces", "libs": ['"libforces.so"'], "patches": self.bodies, "rho": "rhoInf",
                "rhoInf": self.density, "CofR": [0, 0, 0], "log": False, "writeControl": "timeStep", "writeInterval": 1,
            }  # fmt: skip
        for b in (*self.of(Inlet), *self.of(Outlet)):
            monitors[f"pressure_{b.name}"] = {
                "type": "surfaceFieldValue", "libs": ['"libfieldFunctionObjects.so"'], "regionType": "patch",
                "name": b.name, "operation": "areaAverage", "fields": ["p"], "writeFields": False, "log": False,
                "writeControl": "timeStep", "writeInterval": 1,
            }  # fmt: skip
        for name in ("wallShearStress", *(("yPlus",) if self.turbulent else ())):
            monitors[name] = {
                "type": name, "libs": ['"libfieldFunctionObjects.so"'], "log": False,
                "executeControl": "writeTime", "writeControl": "writeTime",
            }  # fmt: skip
        write_dictionary(case / "system" / "controlDict", {
            "application": "simpleFoam", "startFrom": "startTime", "startTime": start, "stopAt": "endTime",
            "endTime": end, "deltaT": 1, "writeControl": "timeStep", "writeInterval": end - start, "purgeWrite": 1,
            "writeFormat": "binary", "writeCompression": "off", "timeFormat": "general", "runTimeModifiable": False,
            "functions": monitors,
        })  # fmt: skip
        write_dictionary(case / "system" / "fvSchemes", schemes(upwind=upwind, rough=rough))
        write_dictionary(case / "system" / "fvSolution", solution(upwind=upwind, rough=rough))


def schemes(*, upwind: bool, rough: bool) -> dict[str, Any]:
    """Finite volume schemes: first order upwind, or second order with limited gradients.

    Velocities are limited along their steepest change, as in OpenFOAM's own flow around a motorcycle (its tutorials,
    simpleFoam/motorBike): limited component by component and less, wakes swing more and drag drifts.
    """
    limited = "limited corrected 0.33" if rough else "limited corrected 0.5"
    convection = "bounded Gauss upwind" if upwind else f"bounded Gauss linearUpwind{'' if rough else 'V'} limited"
    of_turbulence = "bounded Gauss upwind" if upwind or rough else "bounded Gauss limitedLinear 1"
    return {
        "ddtSchemes": {"default": "steadyState"},
        "gradSchemes": {
            "default": "leastSquares" if rough else "Gauss linear",
            "limited": "cellLimited<cubic> 1.5 leastSquares 1" if rough else "cellLimited Gauss linear 1",
            "grad(p)": "Gauss pointLinear" if rough else "Gauss linear",
            "grad(k)": "cellLimited Gauss linear 1", "grad(omega)": "cellLimited Gauss linear 1",
        },
        "divSchemes": {
            "default": "none", "div(phi,U)": convection, "div(phi,k)": of_turbulence, "div(phi,omega)": of_turbulence,
            "div((nuEff*dev2(T(grad(U)))))": "Gauss linear", "div(div(phi,U))": "Gauss linear",
        },
        "laplacianSchemes": {"default": f"Gauss linear {limited}"},
        "interpolationSchemes": {"default": "linear"},
        "snGradSchemes": {"default": limited},
        "wallDist": {"method": "meshWave"},
    }  # fmt: skip


def solution(*, upwind: bool, rough: bool) -> dict[str, Any]:
    """Linear solvers and SIMPLEC (Van Doormaal and Raithby 1984) with its under-relaxation."""
    pressure = {"solver": "GAMG", "smoother": "GaussSeidel", "tolerance": 1e-9, "relTol": 0.05}
    careful = upwind or rough
    return {
        "solvers": {
            "p": pressure,
            "Phi": {**pressure, "relTol": 0.01},
            '"(U|k|omega)"': {"solver": "smoothSolver", "smoother": "symGaussSeidel", "relTol": 0.1},
        },
        "SIMPLE": {"nNonOrthogonalCorrectors": 1 if rough else 0, "consistent": True},
        "potentialFlow": {"nNonOrthogonalCorrectors": 8},
        "relaxationFactors": {
            "fields": {"p": 0.7 if careful else 1.0},
            "equations": {"U": 0.7 if careful else 0.9, '"(k|omega)"': 0.6 if careful else 0.8},
        },
    }  # fmt: skip


# --- faces and profiles -------------------------------------------------------------------------------------------


def _by_default(names: frozenset[str]) -> Wall | Slip | Symmetry:
    """What a face is that no condition names: a wall at rest; far sides slip, the middle of a half model mirrors."""
    if "symmetry" in names:
        return Symmetry(kind="symmetry", on=("symmetry",))
    if "far sides" in names:
        return Slip(kind="slip", on=("far sides",))
    return Wall(kind="wall", on=("the rest",))


def _skin(mesh: MeshFile) -> Integers:
    """The CAD faces (n,) of the facets that only one cell has."""
    width = 2 if mesh.dimension == 2 else 3
    if not len(mesh.cells):
        return mesh.facet_face
    sides = [[0, 1], [1, 2], [2, 0]] if width == 2 else [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]
    every = np.sort(mesh.cells[:, sides].reshape(-1, width), axis=1)
    own = np.sort(mesh.facets[:, :width], axis=1)
    _, number, count = np.unique(np.concatenate([every, own]), axis=0, return_inverse=True, return_counts=True)
    return np.asarray(mesh.facet_face[count[number.ravel()[len(every) :]] == 2])


def power_law(mesh: PolyMesh, faces: Integers) -> Reals:
    """(distance to the rim)^(1/7) at the faces of an inlet, largest 1: the velocity profile of turbulent ducts.

    Schlichting and Gersten, Boundary-Layer Theory, 9th ed., 17.2.3.
    """
    from scipy.spatial import cKDTree

    starts, stops = mesh.first[faces], mesh.first[faces + 1]
    pieces = [mesh.nodes[a:b] for a, b in zip(starts, stops, strict=True)]
    edges = np.concatenate(
        [np.stack([np.sort([n, m]) for n, m in zip(p, np.roll(p, -1), strict=True)]) for p in pieces]
    )
    unique, count = np.unique(edges, axis=0, return_counts=True)
    rim = unique[count == 1]
    if any(p.kind == "empty" for p in mesh.patches):  # a plane: the front and the back are no walls
        rim = rim[np.ptp(mesh.points[rim][:, :, 2], axis=1) > 0]
    spots = (mesh.points[rim][:, None, 0] * (w := np.linspace(0, 1, 9)[None, :, None])
             + mesh.points[rim][:, None, 1] * (1 - w)).reshape(-1, 3)  # fmt: skip
    centre = mesh.geometry[0][faces]
    distance, _ = cKDTree(spots).query(centre)
    return np.asarray((distance / distance.max()) ** (1 / 7))


def _of_table(c: Inlet, here: Reals, everywhere: Reals) -> Reals:
    """Speeds (n,) at the faces `here` out of a table over one coordinate or the distance from the middle."""
    assert c.table is not None
    columns = [name for name in c.table.names if name != "u"]
    if len(columns) > 1:
        from scipy.interpolate import griddata

        known = np.stack([np.array(c.table.column(n, "m")) for n in columns], axis=1)
        at = here[:, ["xyz".index(n) for n in columns]]
        u = np.array(c.table.column("u", "m/s"))
        near = griddata(known, u, at, method="nearest")
        found = griddata(known, u, at, method="linear") if len(columns) < len(known) else near
        return np.where(np.isfinite(found), found, near)
    name = columns[0]
    at = np.linalg.norm(here - everywhere.mean(axis=0), axis=1) if name == "r" else here[:, "xyz".index(name)]
    where, speed = np.array(c.table.column(name, "m")), np.array(c.table.column("u", "m/s"))
    order = np.argsort(where)
    return np.interp(at, where[order], speed[order])


def groups(boundaries: Sequence[Boundary]) -> list[tuple[str, str, Sequence[int]]]:
    """Name, kind and CAD faces of each patch, as :func:`solvers.cfd.openfoam.polymesh.from_mesh` takes them."""
    return [(b.name, b.kind, b.faces) for b in boundaries]
