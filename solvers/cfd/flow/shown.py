"""What is shown of a flow: its fields, pictures of them, and how it moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from solvers.cfd.flow.solution import Solved  # first, for it loads MPI ahead of the bindings

# isort: split
from dolfinx import fem

from hub.result import Section, View
from hub.runfolder import Attempt
from solvers.cfd.flow.boundary import Inlet
from solvers.cfd.flow.forces import wall_shear
from solvers.cfd.flow.state import Reals
from solvers.fem import output
from solvers.fem.mesh import Part


def fields(found: Solved) -> dict[str, Reals]:
    """What is shown of a flow, at the nodes of the whole mesh; zero in solids what only the fluid has."""
    flow = found.flow
    shown = moving(found)
    shown["wall_shear_stress"] = _on_whole(found, wall_shear(flow, found.boundary), flow.dim)
    for name, carried in (("concentration", found.dye), ("residence_time", found.age)):
        if carried is not None:
            shown[name] = _on_whole(found, carried.s, 1)[:, 0]
    return shown


def moving(found: Solved) -> dict[str, Reals]:
    """Of those the ones that are shown in their change over time."""
    flow, density = found.flow, found.flow.fluid.density
    shown = {
        "velocity": _on_whole(found, flow.u, flow.dim),
        "pressure": density * _on_whole(found, flow.p, 1)[:, 0],
    }
    if flow.drive.any():
        geometry = found.bodies.whole.mesh.geometry
        wet = np.unique(geometry.dofmaps[0][found.bodies.cells])
        shown["pressure"][wet] += density * flow.falling(geometry.x[wet])
    if found.heat is not None:
        shown["temperature"] = found.heat.level + _quadratic(found.bodies.whole, found.heat.s, 1)[:, 0]
    return shown


def _quadratic(part: Part, f: fem.Function, width: int) -> Reals:
    """(nodes of the mesh's geometry, width) values, by way of quadratic elements, whose nodes those are."""
    V = fem.functionspace(part.mesh, ("Lagrange", 2, (width,)) if width > 1 else ("Lagrange", 2))
    g = fem.Function(V)
    g.interpolate(f)
    return output.at_geometry_nodes(part, V, g.x.array.reshape(-1, width))


def _on_whole(found: Solved, f: fem.Function, width: int) -> Reals:
    bodies = found.bodies
    if not bodies.conjugate:
        return _quadratic(bodies.whole, f, width)
    V = fem.functionspace(bodies.whole.mesh, ("Lagrange", 2, (width,)) if width > 1 else ("Lagrange", 2))
    g = fem.Function(V)
    g.interpolate(f, cells0=np.arange(len(bodies.cells), dtype=np.int32), cells1=bodies.cells)
    g.x.scatter_forward()
    return output.at_geometry_nodes(bodies.whole, V, g.x.array.reshape(-1, width))


def views(found: Solved) -> tuple[View, ...]:
    """Pictures worth drawing: cuts where the domain is thinnest, streamlines, what walls feel."""
    plane = found.flow.dim == 2
    cut = None if plane else _cut(found)
    kind = "surface" if plane else "section"
    made = [
        View(name="speed", title={"en": "Speed", "it": "Velocità"}, field="velocity", unit="m/s", kind=kind,
             section=cut, mark="max_speed" if plane else None),
        View(name="pressure", title={"en": "Pressure", "it": "Pressione"}, field="pressure", unit="Pa", kind=kind,
             section=cut),
    ]  # fmt: skip
    if found.heat is not None:
        title = {"en": "Temperature", "it": "Temperatura"}
        made.append(View(name="temperature", title=title, field="temperature", unit="K", kind=kind, section=cut))
    for name, carried, unit, en, it in (
        ("concentration", found.dye, "", "Concentration", "Concentrazione"),
        ("residence_time", found.age, "s", "Residence time", "Tempo di permanenza"),
    ):
        if carried is not None:
            made.append(View(name=name, title={"en": en, "it": it}, field=name, unit=unit, kind=kind, section=cut))
    if not plane:
        made.append(View(name="wall_shear", title={"en": "Wall shear stress", "it": "Sforzo di taglio a parete"},
                         field="wall_shear_stress", unit="Pa", mark="max_wall_shear"))  # fmt: skip
    made.append(View(name="streamlines", title={"en": "Streamlines", "it": "Linee di corrente"}, field="velocity",
                     unit="m/s", kind="streamlines", along="velocity", section=cut))  # fmt: skip
    if found.bound.params.regime == "unsteady":
        field, unit = ("velocity", "m/s") if found.heat is None else ("temperature", "K")
        made.insert(0, View(name="motion", title={"en": "The flow in time", "it": "Il flusso nel tempo"}, field=field,
                            unit=unit, kind="moving", section=cut))  # fmt: skip
    return tuple(made)


def _cut(found: Solved) -> Section:
    """Through the middle, along the flow: its normal is the shortest extent; just off a plane of symmetry."""
    file = found.part.file
    points = file.points[np.unique(file.cells)]
    low, high = points.min(axis=0), points.max(axis=0)
    axis = int(np.argmin(high - low))
    if found.bound.case.domain.kind == "around":
        along = np.abs(found.bound.case.domain.along)
        axis = int(np.argmin(along + 1e-3 * np.arange(3)))
    normal = tuple(1.0 if i == axis else 0.0 for i in range(3))
    # a hair beside the middle, where round faces have their seams
    point = (low + high) / 2 + 1e-4 * (high - low)
    slips = [f for c in found.boundary.conditions if not isinstance(c, Inlet) and hasattr(c, "on") for n in c.on
             for f in file.selections.get(n, ())]  # fmt: skip
    for index in slips:
        here = file.points[file.facets[file.facet_face == index]].reshape(-1, 3)
        if len(here) and np.ptp(here[:, axis]) < 1e-9 * (high - low).max():
            inward = np.sign(point[axis] - here[0, axis])
            point[axis] = here[0, axis] + 2e-3 * inward * (high - low)[axis]
            break
    return Section(point=tuple(float(v) for v in point), normal=normal)


# --- over time ----------------------------------------------------------------------------------------------------

#: Frames of a run in time.
FRAMES = 60


class Film:
    """Frames of a run at even times, each a file of the checkpoint, so that a run that goes on has them all.

    Collective. found : the flow, looked at when a frame is due
    """

    def __init__(self, found: Solved, attempt: Attempt) -> None:
        self.found, self.attempt = found, attempt
        self._until, self._part = float(found.bound.params.end_time), found.bodies.whole
        file = self._part.file
        # what is seen moving is drawn small: in space the corners of the cells will do
        cells = file.cells if found.flow.dim == 2 else file.cells[:, :4]
        self._nodes, cells = np.unique(cells, return_inverse=True)
        self._cells = cells.reshape(len(file.cells), -1)
        if self._first and attempt.earlier is not None:
            attempt.checkpoint.mkdir(parents=True, exist_ok=True)
            for old in sorted(attempt.earlier.glob("frame-*.npz")):
                (attempt.checkpoint / old.name).write_bytes(old.read_bytes())
        self._part.mesh.comm.barrier()

    @property
    def _first(self) -> bool:
        return bool(self._part.mesh.comm.rank == 0)

    def look(self, t: float) -> None:
        """Keep a frame at time t [s] if one is due: the first step after each sixtieth of the run."""
        times = self.found.times
        number = int(FRAMES * t / self._until * (1 + 1e-9))
        if len(times) > 1 and int(FRAMES * times[-2] / self._until * (1 + 1e-9)) == number:
            return
        whole = {name: output.gather(self._part, output.spatial(v)) for name, v in moving(self.found).items()}
        if self._first:
            arrays: dict[str, Any] = {n: v[self._nodes].astype(np.float32) for n, v in whole.items() if v is not None}
            self.attempt.checkpoint.mkdir(parents=True, exist_ok=True)
            part = self.attempt.checkpoint / ".frame.part"
            with part.open("wb") as stream:
                np.savez(stream, time=t, **arrays)
            part.replace(self.attempt.checkpoint / f"frame-{number:04}.npz")

    def write(self, file: Path) -> None:
        """All frames as temporal VTKHDF; their own files are taken away."""
        if self._first:
            frames = sorted(self.attempt.checkpoint.glob("frame-*.npz"))
            output.write_moving(self._part.file.points[self._nodes], self._cells, frames, file)
            for frame in frames:
                frame.unlink()
        self._part.mesh.comm.barrier()
