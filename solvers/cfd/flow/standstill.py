"""Where an iteration for a steady flow stands still, and what is said of it."""

from __future__ import annotations

import numpy as np

from solvers.cfd.flow.state import Reals  # first, for it loads MPI ahead of the bindings

# isort: split
import ufl
from dolfinx import fem
from dolfinx import mesh as dmesh
from mpi4py import MPI

from hub.figures import Figures
from hub.solver import StageError
from solvers.cfd.flow.boundary import Boundary
from solvers.cfd.flow.state import form

#: Nodes of each rank that are looked at, and those of them around which the rest is looked for.
MOST, CENTRES = 2000, 100
#: Radius of a place, as a part of the longest side of the domain's box.
PLACE = 0.1
#: The size that is asked of a mesh over the square root of its mean area, the cube root of its mean volume.
EDGE = {2: 1.5, 3: 1.7}


def place(boundary: Boundary, r: Reals) -> tuple[Reals, float, float]:
    """Where most of a residual sits: centre (3,) [m], radius [m], part of its square within. Collective.

    r : (own nodes, dim)
    """
    comm, square = boundary.comm, np.nan_to_num((r**2).sum(axis=1))
    top = np.argsort(square, kind="stable")[-MOST:]
    x = np.concatenate(comm.allgather(boundary.x[top]))
    weight = np.concatenate(comm.allgather(square[top]))
    whole = float(comm.allreduce(float(square.sum()), MPI.SUM))
    radius = PLACE * _longest(boundary)
    best, within = np.zeros(3), 0.0
    for centre in x[np.argsort(weight, kind="stable")[::-1][:CENTRES]]:
        near = np.linalg.norm(x - centre, axis=1) <= radius
        if weight[near].sum() > within:
            within = float(weight[near].sum())
            best = weight[near] @ x[near] / within
    return best, radius, within / max(whole, 1e-300)


def _longest(boundary: Boundary) -> float:
    """The longest side of the domain's box [m]."""
    x = boundary.x
    every = boundary.comm.allgather((x.min(axis=0), x.max(axis=0)) if len(x) else None)
    corners = np.concatenate([box for box in every if box is not None])
    return float(np.ptp(corners, axis=0).max())


def cells(boundary: Boundary, at: Reals, radius: float) -> tuple[float, float]:
    """Mean edge [m] of the cells at a place, centre (3,) [m] and radius [m], and the Reynolds number of the fastest.

    The number is u h / nu: how much faster momentum is carried across a cell than it spreads. Collective.
    """
    flow, mesh, comm = boundary.flow, boundary.mesh, boundary.comm
    own = np.arange(mesh.topology.index_map(flow.dim).size_local, dtype=np.int32)
    away = np.linalg.norm(dmesh.compute_midpoints(mesh, flow.dim, own) - at, axis=1)
    # at least the one that is nearest
    there = own[away <= max(radius, comm.allreduce(float(away.min(initial=np.inf)), MPI.MIN))]
    volumes = fem.assemble_vector(form(ufl.TestFunction(fem.functionspace(mesh, ("DG", 0))) * flow.dx(2))).array
    whole, count = (comm.allreduce(float(n), MPI.SUM) for n in (volumes[there].sum(), len(there)))
    edge = EDGE[flow.dim] * (whole / count) ** (1 / flow.dim)
    speeds = np.linalg.norm(flow.u.x.array.reshape(-1, flow.dim), axis=1)
    fastest = comm.allreduce(float(speeds[flow.S.dofmap.list[there]].max(initial=0.0)), MPI.MAX)
    return edge, fastest * edge / flow.fluid.nu


def no_steady_flow(boundary: Boundary, steps: int, unbalanced: float, r: Reals, kept: float | None) -> StageError:
    """The error that names the place and the next step. Collective.

    unbalanced : part of the forces; r : (own nodes, dim) residual; kept : least part of the diffusion along the stream
    with which a steady flow was found, None where with all of it there was none, or where it was not tried
    """
    en = Figures("en")
    at, radius, share = place(boundary, r)
    edge, number = cells(boundary, at, radius)
    point, around = en.point(tuple(at)), en.length(float(f"{radius:.2g}"))
    size, finer = en.length(float(f"{edge:.2g}")), en.length(float(f"{0.7 * edge:.2g}"))
    share, number = 100 * share, float(f"{number:.2g}")
    if kept is None:
        return StageError(
            "no-steady-flow",
            f"No steady flow was found: after {steps} steps the iteration comes no closer, {unbalanced:.1g} of the "
            f"forces out of balance, {share:.0f} % of that within {around} of {point}. Cells there are {size} "
            f"large, their Reynolds number is {number:.0f}. Most often the flow does not become steady, or its cells "
            "are too large.",
            f"Refine the mesh there, to cells of {finer} (mesh.refine on a face nearby, or mesh.size): that shows "
            "which of the two it is. Where finer cells change nothing, choose regime: unsteady, in which a flow that "
            "does come to rest does so in three to five times length over speed; or cfd.openfoam for the mean of a "
            "turbulent flow. A lower flow or a higher viscosity shows whether the rest of the case is as meant.",
        )
    return StageError(
        "no-steady-flow",
        f"No steady flow was found: after {steps} steps the iteration comes no closer, {unbalanced:.1g} of the forces "
        f"out of balance, {share:.0f} % of that within {around} of {point}. Cells there are {size} large, "
        f"their Reynolds number is {number:.0f}. Smoothed along the stream by {100 * kept:.3g} % of what cells of this "
        "size call for, the flow is steady; with less, no steady flow is found: the cells are too large for it, or it "
        "does not become steady.",
        f"Refine the mesh there, to cells of {finer} (mesh.refine on a face nearby, or mesh.size): that shows which of "
        "the two it is. Where finer cells change nothing, choose regime: unsteady; the mean over time is then the "
        "answer. A lower flow shows whether the rest of the case is as meant.",
    )
