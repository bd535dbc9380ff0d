"""The channel with a cylinder of the DFG benchmarks in OpenFOAM: hexahedra graded by hand, laminar, as well as it can.

Steady by simpleFoam (SIMPLEC), unsteady by icoFoam or by pimpleFoam with one outer iteration, both PISO with BDF2.
Central differences. The pressure at the cylinder is drawn out to the wall from the two cells next to it.
Geometry and boundary conditions: M. Schaefer, S. Turek, Notes Numer. Fluid Mech. 52 (1996) 547-566.
"""

from __future__ import annotations

import math
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hub.solver import StageError
from solvers.cfd.openfoam import program
from solvers.cfd.openfoam.foamfile import write_dictionary
from solvers.cfd.openfoam.iterate import Tail

RADIUS, HEIGHT, NU = 0.05, 0.41, 1e-3
#: Half the side of the square around the cylinder that is meshed in rings.
SQUARE = 0.1
#: How many times as thick the outermost ring is as the innermost.
RINGS = 4.0


@dataclass(frozen=True)
class Channel:
    """One of the benchmarks.

    length [m]; centre : x of the cylinder's axis, whose y is 0.2 [m]; peak : largest speed of the inlet [m/s]
    deep : the channel has a depth of 0.41 m and walls all around; until : end of the time [s], 0 where steady
    """

    length: float
    centre: float
    peak: float
    deep: bool = False
    until: float = 0.0

    @property
    def speed(self) -> float:
        """Mean speed, of the coefficients [m/s]."""
        return self.peak * (4 / 9 if self.deep else 2 / 3)

    @property
    def scale(self) -> float:
        """Force of a coefficient of 1, at a density of 1 kg/m3 [N]."""
        return 0.5 * self.speed**2 * 2 * RADIUS * (HEIGHT if self.deep else 1.0)

    @property
    def inlet(self) -> str:
        """The velocity that enters, as a formula of OpenFOAM."""
        y = f"pos().y()*({HEIGHT}-pos().y())"
        if self.deep:
            return f"vector(16*{self.peak}*{y}*pos().z()*({HEIGHT}-pos().z())/{HEIGHT**4!r}, 0, 0)"
        grows = "*sin(pi()*time()/8)" if self.until else ""
        return f"vector(4*{self.peak}*{y}/{HEIGHT**2!r}{grows}, 0, 0)"


@dataclass(frozen=True)
class Run:
    """What came out: coefficients (largest ones where unsteady), pressure difference [Pa], CPU time [s]."""

    name: str
    cells: int
    cd: float
    cl: float
    dp: float
    mesh_seconds: float
    seconds: float


def solve(
    channel: Channel, fineness: int, case: Path, dt: float | None = None, tolerance: float = 1e-6, name: str = ""
) -> Run:
    """Mesh with 2 `fineness` cells along a quarter of the cylinder, solve, measure. Raises StageError.

    name : the program; simpleFoam or pimpleFoam if not given
    """
    name = name or ("pimpleFoam" if channel.until else "simpleFoam")
    case.mkdir(parents=True)
    write_dictionary(case / "system" / "blockMeshDict", block_mesh(channel, fineness))
    _write(channel, case, fineness, dt, tolerance)
    meshing = _timed(case, "blockMesh")
    seconds = _timed(case, name)
    force = np.array([row[:4] for row in Tail(case / "postProcessing" / "forces").rows()])
    if channel.until:
        force = force[force[:, 0] > 1e-3]
    c = force[:, 1:3] / channel.scale
    cd, cl = (float(c[:, k].max()) if channel.until else float(c[-1, k]) for k in (0, 1))
    with next((case / "postProcessing" / "ends").rglob("p")).open() as stream:
        *_, last = (line for line in stream if not line.startswith("#"))
    p = np.array([float(v) for v in last.split()[1:]]).reshape(2, 2)
    near, next_to = _rings(channel, fineness)
    front, back = p[:, 0] + (p[:, 0] - p[:, 1]) * near / (next_to - near)
    cells = _cells(channel, fineness)
    label = f"{name}, {cells} cells" + (f", dt {dt:g}" if dt else "")
    return Run(label, cells, cd, cl, float(front - back), meshing, seconds)


def _timed(case: Path, name: str) -> float:
    """CPU seconds of one program. Raises StageError if it fails."""
    log = case / f"log.{name}"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [f"{program.PROGRAMS}/{name}"], cwd=case, env=program.environment(case), stdout=stream,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise StageError("openfoam", *program.words_of_failure(name, log, process.returncode))
    return used.ru_utime + used.ru_stime


# --- mesh ---------------------------------------------------------------------------------------------------------


def _counts(channel: Channel, n: int) -> dict[str, int]:
    """Cells along: a quarter of the cylinder, out of it, before, behind, across below and above, and deep."""
    q = 2 * n
    side = 2 * SQUARE / q  # a cell of the square
    before = max(2, round((channel.centre - SQUARE) / (1.2 * side)))
    return {
        "quarter": q,
        "ring": round(1.3 * q),
        "before": before,
        "behind": round(2.4 * q),
        "across": max(3, round((0.2 - SQUARE) / side * 1.3)),
        "deep": round(1.5 * q) if channel.deep else 1,
    }


def _rings(channel: Channel, n: int) -> tuple[float, float]:
    """Distance of the middles of the first two cells from the cylinder, before and behind it [m]."""
    k = _counts(channel, n)["ring"]
    growth = RINGS ** (1 / (k - 1))
    first = (SQUARE - RADIUS) * (growth - 1) / (growth**k - 1)
    return first / 2, first * (1 + growth / 2)


def _cells(channel: Channel, n: int) -> int:
    k = _counts(channel, n)
    rows = k["quarter"] + 2 * k["across"]
    flat = 4 * k["quarter"] * k["ring"] + (k["before"] + k["behind"]) * rows + 2 * k["quarter"] * k["across"]
    return flat * k["deep"]


def block_mesh(channel: Channel, n: int) -> dict[str, Any]:
    """Four blocks of rings in a square around the cylinder, eight blocks around the square."""
    k, x0, y0 = _counts(channel, n), channel.centre, 0.2
    x = [0.0, x0 - SQUARE, x0 + SQUARE, channel.length]
    y = [0.0, y0 - SQUARE, y0 + SQUARE, HEIGHT]
    d = RADIUS / math.sqrt(2)
    flat = [(a, b) for b in y for a in x] + [(x0 - d, y0 - d), (x0 + d, y0 - d), (x0 + d, y0 + d), (x0 - d, y0 + d)]
    depth = HEIGHT if channel.deep else 1.0
    vertices = [[a, b, z] for z in (0.0, depth) for a, b in flat]
    m = len(flat)

    def block(corners: tuple[int, ...], cells: tuple[int, int], grading: tuple[float, float]) -> str:
        nodes = " ".join(str(c) for c in (*corners, *(c + m for c in corners)))
        return f"hex ({nodes}) ({cells[0]} {cells[1]} {k['deep']}) simpleGrading ({grading[0]:.6g} {grading[1]:.6g} 1)"

    at = lambda i, j: 4 * j + i  # noqa: E731
    square = (at(1, 1), at(2, 1), at(2, 2), at(1, 2))
    # rings: along the cylinder, then outwards
    blocks = [
        block((16 + (i + 1) % 4, 16 + i, square[i], square[(i + 1) % 4]), (k["quarter"], k["ring"]), (1, RINGS))
        for i in range(4)
    ]
    along = {0: (k["before"], 1 / 1.5), 1: (k["quarter"], 1.0), 2: (k["behind"], 6.0)}
    # towards the walls cells get thinner
    across = {0: (k["across"], 1.5), 1: (k["quarter"], 1.0), 2: (k["across"], 1 / 1.5)}
    for j in range(3):
        for i in range(3):
            if (i, j) != (1, 1):
                corners = (at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1))
                blocks.append(block(corners, (along[i][0], across[j][0]), (along[i][1], across[j][1])))
    middles = [(x0, y0 - RADIUS), (x0 + RADIUS, y0), (x0, y0 + RADIUS), (x0 - RADIUS, y0)]
    arcs = [
        f"arc {16 + i + z * m} {16 + (i + 1) % 4 + z * m} ({middles[i][0]!r} {middles[i][1]!r} {depth * z!r})"
        for i in range(4)
        for z in (0, 1)
    ]

    def side(pairs: list[tuple[int, int]]) -> str:
        return " ".join(f"({a} {b} {b + m} {a + m})" for a, b in pairs)

    lower = [(at(i, 0), at(i + 1, 0)) for i in range(3)]
    upper = [(at(i, 3), at(i + 1, 3)) for i in range(3)]
    ends = []
    quads = [(at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)) for i in range(3) for j in range(3)
             if (i, j) != (1, 1)]  # fmt: skip
    quads += [(16 + i, 16 + (i + 1) % 4, square[(i + 1) % 4], square[i]) for i in range(4)]
    for quad in quads:
        ends += [quad, tuple(c + m for c in quad)]
    faces = {
        "inlet": ("patch", side([(at(0, j), at(0, j + 1)) for j in range(3)])),
        "outlet": ("patch", side([(at(3, j), at(3, j + 1)) for j in range(3)])),
        "walls": ("wall", side(lower + upper)),
        "cylinder": ("wall", side([(16 + i, 16 + (i + 1) % 4) for i in range(4)])),
        "ends": ("wall" if channel.deep else "empty", " ".join(f"({' '.join(map(str, q))})" for q in ends)),
    }
    boundary = " ".join(f"{name} {{ type {kind}; faces ({of}); }}" for name, (kind, of) in faces.items())
    return {
        "scale": 1,
        "vertices": vertices,
        "blocks": f"({' '.join(blocks)})",
        "edges": f"({' '.join(arcs)})",
        "boundary": f"({boundary})",
    }


# --- case ---------------------------------------------------------------------------------------------------------


def _write(channel: Channel, case: Path, n: int, dt: float | None, tolerance: float) -> None:
    ends = {"type": "noSlip"} if channel.deep else {"type": "empty"}
    none = {"type": "zeroGradient"} if channel.deep else {"type": "empty"}
    write_dictionary(case / "0" / "U", {
        "dimensions": "[0 1 -1 0 0 0 0]", "internalField": "uniform (0 0 0)",
        "boundaryField": {
            "inlet": {"type": "exprFixedValue", "valueExpr": f'"{channel.inlet}"', "value": "uniform (0 0 0)"},
            "outlet": {"type": "zeroGradient"}, "walls": {"type": "noSlip"}, "cylinder": {"type": "noSlip"},
            "ends": ends,
        },
    }, "volVectorField")  # fmt: skip
    write_dictionary(case / "0" / "p", {
        "dimensions": "[0 2 -2 0 0 0 0]", "internalField": "uniform 0",
        "boundaryField": {
            "inlet": {"type": "zeroGradient"}, "outlet": {"type": "fixedValue", "value": "uniform 0"},
            "walls": {"type": "zeroGradient"}, "cylinder": {"type": "zeroGradient"}, "ends": none,
        },
    }, "volScalarField")  # fmt: skip
    write_dictionary(case / "constant" / "transportProperties", {"transportModel": "Newtonian", "nu": NU})
    write_dictionary(case / "constant" / "turbulenceProperties", {"simulationType": "laminar"})
    middle = 0.501 * (HEIGHT if channel.deep else 1.0)
    aside = math.pi / 4 / _counts(channel, n)["quarter"]  # the middle of a cell; the axis runs between two
    places = [
        [channel.centre + side * (RADIUS + d) * math.cos(aside), 0.2 + (RADIUS + d) * math.sin(aside), middle]
        for side in (-1, 1)
        for d in _rings(channel, n)
    ]
    every = {"writeControl": "timeStep", "writeInterval": 1, "log": False}
    write_dictionary(case / "system" / "controlDict", {
        "startFrom": "startTime", "startTime": 0, "stopAt": "endTime", "endTime": channel.until or 5000,
        "deltaT": dt or 1, "writeControl": "runTime", "writeInterval": channel.until or 5000, "writePrecision": 12,
        "writeFormat": "binary", "runTimeModifiable": False, "libs": ['"libfieldFunctionObjects.so"'],
        "functions": {
            "forces": {"type": "forces", "libs": ['"libforces.so"'], "patches": ["cylinder"], "rho": "rhoInf",
                       "rhoInf": 1, "CofR": [0, 0, 0], **every},
            "ends": {"type": "probes", "libs": ['"libsampling.so"'], "fields": ["p"], "probeLocations": places,
                     **every},
        },
    })  # fmt: skip
    steady = not channel.until
    write_dictionary(case / "system" / "fvSchemes", {
        "ddtSchemes": {"default": "steadyState" if steady else "backward"},
        "gradSchemes": {"default": "Gauss linear"},
        "divSchemes": {"default": "none", "div(phi,U)": "bounded Gauss linear" if steady else "Gauss linear",
                       "div((nuEff*dev2(T(grad(U)))))": "Gauss linear"},
        "laplacianSchemes": {"default": "Gauss linear corrected"}, "interpolationSchemes": {"default": "linear"},
        "snGradSchemes": {"default": "corrected"},
    })  # fmt: skip
    pressure = {"solver": "GAMG", "smoother": "DICGaussSeidel", "tolerance": 1e-9, "relTol": 0.05 if steady else 0.01}
    last = {**pressure, "relTol": 0, "tolerance": 1e-7}
    velocity = {"solver": "smoothSolver", "smoother": "symGaussSeidel", "tolerance": 1e-10,
                "relTol": 0.1 if steady else 0, "maxIter": 20}  # fmt: skip
    write_dictionary(case / "system" / "fvSolution", {
        "solvers": {"p": pressure, "pFinal": last, '"U.*"': velocity},
        "SIMPLE": {"consistent": True, "nNonOrthogonalCorrectors": 0,
                   "residualControl": {"U": tolerance, "p": tolerance}},
        "PIMPLE": {"nOuterCorrectors": 1, "nCorrectors": 2, "nNonOrthogonalCorrectors": 0, "momentumPredictor": True},
        "PISO": {"nCorrectors": 2, "nNonOrthogonalCorrectors": 0},
        "relaxationFactors": {"equations": {"U": 0.9 if steady else 1.0}},
    })  # fmt: skip
