"""Velocity and pressure on a mesh: Taylor-Hood spaces, the fluid, compiled forms."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from solvers.cfd.flow.periodic import space  # first, for it loads MPI ahead of the bindings
from solvers.fem.mesh import Part

# isort: split
import ufl
from dolfinx import fem

type Reals = npt.NDArray[np.float64]
type Integers = npt.NDArray[np.int32]


def _processor() -> str:
    """What tells processors apart whose instructions differ: kernels are compiled for one of them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.machine(), platform.processor()]
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "".join(lines[:2]))
    return hashlib.sha256(flags.encode()).hexdigest()[:12]


def _jit() -> dict[str, Any]:
    """Compiled forms are kept per kind of processor: on a cluster with one home, nodes may differ."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return {
        "cffi_extra_compile_args": ["-O3", "-march=native", "-ffast-math"],
        "cache_dir": root / f"fenics-{_processor()}",
    }


_JIT = _jit()


def form(expression: Any) -> Any:
    """A compiled form, or a nest of them: in 3D about twice as quick to assemble as with the default flags."""
    return fem.form(expression, jit_options=_JIT)


@dataclass(frozen=True)
class Fluid:
    """A Newtonian fluid of constant properties.

    density [kg/m3]; viscosity : dynamic [Pa s]
    """

    density: float
    viscosity: float

    @property
    def nu(self) -> float:
        """Kinematic viscosity [m2/s]."""
        return self.viscosity / self.density


@dataclass
class Flow:
    """A flow: what the solvers start from and what they return.

    part : the mesh of the fluid alone
    degree : of the velocity, 2 or 3; the pressure has one less (Taylor-Hood)
    u : velocity [m/s]; p : pressure over density [m2/s2]; t : time [s]
    force : acceleration that acts on the fluid [m/s2], zero unless set (buoyancy)
    drive : (dim,) of that what stands for a pressure that falls from periodic end to periodic end [m/s2]; p is the rest
    darcy, forchheimer : of porous bodies, in every cell: viscosity over density and permeability [1/s], and what the
        square of the speed costs besides [1/m]; None where nothing is porous
    reaction : what the boundary gives the fluid at each node, over density [m4/s2]: the residual of the momentum
        equation, which is zero inside; minus its sum over the nodes of a wall is the force on the wall over density
    """

    part: Part
    fluid: Fluid
    degree: int = 2
    t: float = 0.0
    u: fem.Function = field(init=False)
    p: fem.Function = field(init=False)
    force: fem.Function = field(init=False)
    drive: Reals = field(init=False)
    darcy: fem.Function | None = None
    forchheimer: fem.Function | None = None
    reaction: fem.Function = field(init=False)

    def __post_init__(self) -> None:
        self.u, self.force, self.reaction = (fem.Function(self.V) for _ in range(3))
        self.p = fem.Function(self.Q)
        self.drive = np.zeros(self.dim)
        inside = self.part.file.points[np.unique(self.part.file.cells)]
        self._middle = (inside.min(axis=0) + inside.max(axis=0)) / 2

    def driven(self, acceleration: Reals) -> None:
        """Sets what drives the flow from one periodic end to the other, (dim,) [m/s2], in place of all other forces."""
        self.drive[:] = acceleration
        self.force.x.array.reshape(-1, self.dim)[:] = self.drive

    def resistance(self, u: Any, inertia: Any = 1.0) -> Any:
        """What porous bodies slow a velocity down by, as an expression [1/s]; u : the velocity whose speed counts

        inertia : part of what the square of the speed costs
        """
        speed = ufl.sqrt(ufl.dot(u, u) + fem.Constant(self.part.mesh, 1e-30))
        return self.darcy + inertia * self.forchheimer * speed

    def falling(self, x: Any) -> Any:
        """The pressure over density that is not in p, at places (n, 3) or as an expression at coordinates (dim,).

        It falls evenly and is zero in the middle of the domain's box [m2/s2].
        """
        if isinstance(x, np.ndarray):
            return -(x - self._middle)[:, : self.dim] @ self.drive
        drive, middle = (fem.Constant(self.part.mesh, np.array(v[: self.dim])) for v in (self.drive, self._middle))
        return -ufl.dot(drive, x - middle)

    @property
    def dim(self) -> int:
        """2 in a plane domain, else 3."""
        return int(self.part.mesh.geometry.dim)

    @cached_property
    def V(self) -> fem.FunctionSpace:
        """Velocities."""
        return space(self.part, ("Lagrange", self.degree, (self.dim,)))

    @cached_property
    def S(self) -> fem.FunctionSpace:
        """One component of the velocity: the same nodes in the same order as V."""
        return space(self.part, ("Lagrange", self.degree))

    @cached_property
    def Q(self) -> fem.FunctionSpace:
        """Pressures."""
        return space(self.part, ("Lagrange", self.degree - 1))

    @property
    def unknowns(self) -> int:
        """Of velocity and pressure, over all ranks."""
        return int(self.V.dofmap.index_map.size_global * self.dim + self.Q.dofmap.index_map.size_global)

    def dx(self, degree: int | None = None) -> ufl.Measure:
        """Volume [m3], with a rule good for the product of three velocities, one of them differentiated."""
        degree = 3 * self.degree - 1 if degree is None else degree
        return ufl.Measure("dx", domain=self.part.mesh, metadata={"quadrature_degree": degree})
