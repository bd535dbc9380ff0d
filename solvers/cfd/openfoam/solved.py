"""What OpenFOAM computed, read back: fields, what is measured on them, and the file that pictures are drawn from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkUnstructuredGrid
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridWriter

from hub.solver import StageError
from solvers.cfd.openfoam.conditions import Inlet, Outlet, Wall
from solvers.cfd.openfoam.foamfile import Field, Integers, Reals, read_field
from solvers.cfd.openfoam.polymesh import PolyMesh
from solvers.cfd.openfoam.setup import Setup


class Solved:
    """The fields of the last iteration on one mesh, in SI: pressures and stresses times the density."""

    def __init__(self, setup: Setup, mesh: PolyMesh, case: Path) -> None:
        self.setup, self.mesh, self.case = setup, mesh, case
        times = [f for f in case.iterdir() if f.is_dir() and f.name.isdigit() and f.name != "0"]
        if not times:
            raise StageError("openfoam", "OpenFOAM wrote no result.", "The log has its words.")
        self.folder = max(times, key=lambda f: int(f.name))

    def _read(self, name: str, inside: int | None = None) -> Field:
        return read_field(self.folder / name, self.mesh.sizes, self.mesh.cells if inside is None else inside)

    @cached_property
    def velocity(self) -> Field:
        return self._read("U")

    @cached_property
    def pressure(self) -> Field:
        return self._scaled("p", self.setup.density)

    @cached_property
    def shear(self) -> Field:
        """The stress along the walls that the fluid pulls with [Pa]; OpenFOAM writes that of the wall on the fluid."""
        return self._scaled("wallShearStress", -self.setup.density)

    def _scaled(self, name: str, factor: float) -> Field:
        field = self._read(name)
        return Field(field.inside * factor, {n: v * factor for n, v in field.patches.items()})

    @cached_property
    def flux(self) -> Field:
        """Volume through each face [m3/s]."""
        return self._read("phi", len(self.mesh.neighbour))

    def at_faces(self, field: Field, patch: str) -> Reals:
        """Values at the faces of a patch; where the patch has none of its own, those of the cells behind it."""
        given = field.patches.get(patch)
        if given is not None and len(given):
            return given
        return field.inside[self.mesh.owner[self.mesh.of_patches([patch])]]

    # --- what is measured -------------------------------------------------------------------------------------

    def sizes(self, patch: str) -> Reals:
        """Area of each face of a patch [m2]."""
        return np.asarray(np.linalg.norm(self.mesh.geometry[1][self.mesh.of_patches([patch])], axis=1))

    def mean(self, field: Field, patches: list[str]) -> float:
        """Mean over the area of patches."""
        size = np.concatenate([self.sizes(p) for p in patches])
        return float(np.concatenate([self.at_faces(field, p) for p in patches]) @ size / size.sum())

    def flow(self, patch: str) -> float:
        """Volume out of the fluid through a patch [m3/s]."""
        through = self.flux.patches.get(patch)
        return 0.0 if through is None else float(through.sum())

    def forces(self, patches: list[str]) -> tuple[Reals, Reals]:
        """Force of the fluid on patches by pressure and by shear (3,) [N]."""
        by_pressure, by_shear = np.zeros(3), np.zeros(3)
        for patch in patches:
            area = self.mesh.geometry[1][self.mesh.of_patches([patch])]
            by_pressure += self.at_faces(self.pressure, patch) @ area
            if patch in self.shear.patches:
                by_shear += self.sizes(patch) @ self.shear.patches[patch]
        return by_pressure, by_shear

    def drop(self) -> float:
        """Mean pressure over the inlets less that over the outlets [Pa]."""
        inlets, outlets = ([b.name for b in self.setup.of(kind)] for kind in (Inlet, Outlet))
        return self.mean(self.pressure, inlets) - self.mean(self.pressure, outlets)

    def imbalance(self) -> float:
        """What enters and does not leave, over what enters."""
        flows = [self.flow(p.name) for p in self.mesh.patches]
        return abs(sum(flows)) / max(-sum(f for f in flows if f < 0), 1e-300)

    def momentum_left(self) -> float:
        """What pressure and shear on all sides and the momentum that is carried through them leave over, over the
        largest of what is carried and pushed there: zero by Newton's second law where the flow is steady."""
        carried, pushed = np.zeros(3), np.zeros(3)
        sizes = [1e-300]
        for patch in (p.name for p in self.mesh.patches if p.kind != "empty"):
            through = self.flux.patches.get(patch)
            if through is not None and len(through):
                here = self.setup.density * through @ self.at_faces(self.velocity, patch)
                carried += here
                sizes.append(float(np.linalg.norm(here)))
            force = sum(self.forces([patch]))
            pushed += force
            sizes.append(float(np.linalg.norm(force)))
        return float(np.linalg.norm(carried + pushed)) / max(sizes)

    def y_plus(self, patches: list[str]) -> Reals:
        """y+ at the faces of those of the patches that are walls (n,)."""
        field = self._read("yPlus")
        return np.concatenate([np.empty(0), *(field.patches[name] for name in patches if name in field.patches)])

    def at(self, point: tuple[float, float, float], values: Reals) -> Any:
        """A value at a point: linear between the centres of the cells around it."""
        from scipy.spatial import cKDTree

        centres = self.cell_centres
        flat = any(p.kind == "empty" for p in self.mesh.patches)
        near = cKDTree(centres).query(np.array(point) + ([0, 0, 0.5] if flat else 0), 12)[1]
        design = np.column_stack([np.ones(len(near)), (centres[near] - np.array(point))[:, : 2 if flat else 3]])
        weight = 1 / np.maximum(np.linalg.norm(design[:, 1:], axis=1), 1e-12)[:, None]
        found, *_ = np.linalg.lstsq(design * weight, values[near].reshape(len(near), -1) * weight, rcond=None)
        return found[0] if values.ndim > 1 else float(found[0, 0])

    def reattachment(self, patches: list[str], axis: int, start: float) -> float | None:
        """Distance along an axis from `start` to where the shear along patches turns forward for the last time [m].

        None where it never turns. The faces are averaged over strips across the axis.
        """
        where = np.concatenate([self.mesh.geometry[0][self.mesh.of_patches([p])][:, axis] for p in patches])
        stress = np.concatenate([self.shear.patches[p][:, axis] for p in patches])
        size = np.concatenate([self.sizes(p) for p in patches])
        beyond = where > start
        where, stress, size = where[beyond], stress[beyond], size[beyond]
        order = np.argsort(where)
        where, stress, size = where[order], stress[order], size[order]
        new = np.r_[True, np.diff(where) > 1e-3 * np.median(np.sqrt(size))]
        strip = np.cumsum(new) - 1
        weight = np.bincount(strip, size)
        x, tau = np.bincount(strip, where * size) / weight, np.bincount(strip, stress * size) / weight
        turn = np.flatnonzero((tau[:-1] < 0) & (tau[1:] >= 0))
        if not len(turn):
            return None
        i = int(turn[-1])
        return float(x[i] - tau[i] * (x[i + 1] - x[i]) / (tau[i + 1] - tau[i]) - start)

    # --- fields for pictures ----------------------------------------------------------------------------------

    @cached_property
    def cell_centres(self) -> Reals:
        """Mean of the centres of a cell's faces by area (n_cells, 3) [m]."""
        mesh = self.mesh
        centre, area = mesh.geometry
        size = np.linalg.norm(area, axis=1)
        cell = np.r_[mesh.owner, mesh.neighbour]
        face = np.r_[np.arange(len(mesh.owner)), np.arange(len(mesh.neighbour))]
        weight = np.bincount(cell, size[face], mesh.cells)
        sums = [np.bincount(cell, size[face] * centre[face, k], mesh.cells) for k in range(3)]
        return np.stack(sums, axis=1) / weight[:, None]

    @cached_property
    def _around(self) -> tuple[Integers, Integers, Reals]:
        """Points and cells that touch, each pair once, with weights that add up to 1 at every point."""
        mesh = self.mesh
        count = np.diff(mesh.first)
        inner = int(mesh.first[len(mesh.neighbour)])
        cell = np.r_[np.repeat(mesh.owner, count), np.repeat(mesh.neighbour, count[: len(mesh.neighbour)])]
        point = np.r_[mesh.nodes, mesh.nodes[:inner]]
        pairs = np.unique(point.astype(np.int64) * mesh.cells + cell)
        point, cell = pairs // mesh.cells, pairs % mesh.cells
        weight = 1 / np.maximum(np.linalg.norm(mesh.points[point] - self.cell_centres[cell], axis=1), 1e-300)
        return point, cell, weight / np.bincount(point, weight, len(mesh.points))[point]

    def at_points(self, field: Field, *, on_walls_only: bool = False) -> Reals:
        """Values at the points: means of the cells around, on patches of the faces around."""
        mesh = self.mesh
        point, cell, weight = self._around
        columns = field.inside.reshape(len(field.inside), -1)
        found = np.stack([np.bincount(point, weight * column[cell], len(mesh.points)) for column in columns.T], axis=1)
        if on_walls_only:
            found[:] = 0
        rank = {Wall: 2, Inlet: 1, Outlet: 0}
        named = {b.name: b for b in self.setup.boundaries}
        for patch in sorted(field.patches, key=lambda n: rank.get(type(named[n].condition), 0) if n in named else 0):
            values = field.patches[patch]
            if patch not in named or not len(values) or (on_walls_only and named[patch].kind != "wall"):
                continue
            faces = mesh.of_patches([patch])
            size = np.repeat(np.linalg.norm(mesh.geometry[1][faces], axis=1), np.diff(mesh.first)[faces])
            index = np.concatenate([mesh.nodes[mesh.first[f] : mesh.first[f + 1]] for f in faces])
            each = np.repeat(np.arange(len(faces)), np.diff(mesh.first)[faces])
            total = np.bincount(index, size, len(mesh.points))
            there = total > 0
            for k, column in enumerate(values.reshape(len(values), -1).T):
                found[there, k] = np.bincount(index, size * column[each], len(mesh.points))[there] / total[there]
        return found[:, 0] if field.inside.ndim == 1 else found

    def write(self, file: Path) -> None:
        """``fields.vtu``: velocity, pressure, and what turbulence and walls have."""
        nothing = np.zeros(self.mesh.cells)
        fields = {
            "velocity": (self.velocity.inside, self.at_points(self.velocity)),
            "pressure": (self.pressure.inside, self.at_points(self.pressure)),
            "wall_shear_stress": (np.zeros((self.mesh.cells, 3)), self.at_points(self.shear, on_walls_only=True)),
        }
        if self.setup.turbulent:
            k, nut = self._read("k"), self._read("nut")
            fields["turbulent_kinetic_energy"] = (k.inside, self.at_points(k))
            fields["eddy_viscosity_ratio"] = (nut.inside / self.setup.nu, self.at_points(nut) / self.setup.nu)
            fields["y_plus"] = (nothing, self.at_points(self._read("yPlus"), on_walls_only=True))
        grid, centres = self._grid()
        for name, (inside, values) in fields.items():
            shown = (
                np.concatenate([values, inside, self._middles(values)])
                if centres
                else values[: grid.GetNumberOfPoints()]
            )
            array = numpy_to_vtk(np.ascontiguousarray(shown), deep=True)
            array.SetName(name)
            grid.GetPointData().AddArray(array)
        writer = vtkXMLUnstructuredGridWriter()
        writer.SetFileName(str(file))
        writer.SetDataModeToAppended()
        writer.EncodeAppendedDataOff()
        writer.SetCompressorTypeToNone()
        writer.SetInputData(grid)
        if not writer.Write():
            raise OSError(28, "the fields could not be written")

    def _grid(self) -> tuple[Any, bool]:
        """The cells as VTK has them, and whether their centres were added to the points.

        Those of the mesh stage where these were used. Hexahedra and polyhedra are cut into tetrahedra around their
        centres, whose values are known; VTK does not find its way through polyhedra.
        """
        part, mesh = self.setup.mesh, self.mesh
        width = 3 if part.dimension == 2 else 4
        centres = part.dimension == 3 and mesh.cells != len(part.cells)
        if centres:
            corners, points = (
                self._pyramids(),
                np.concatenate([mesh.points, self.cell_centres, self._middles(mesh.points)]),
            )
        else:
            used, corners = np.unique(part.cells[:, :width], return_inverse=True)
            corners, points = corners.reshape(-1, width), mesh.points[: len(used)]
        grid, places, cells = vtkUnstructuredGrid(), vtkPoints(), vtkCellArray()
        places.SetData(numpy_to_vtk(np.ascontiguousarray(points), deep=True))
        grid.SetPoints(places)
        cells.SetData(
            numpy_to_vtkIdTypeArray(np.arange(len(corners) + 1, dtype=np.int64) * width, deep=True),
            numpy_to_vtkIdTypeArray(corners.ravel().astype(np.int64), deep=True),
        )
        grid.SetCells({3: 5, 4: 10}[width], cells)
        return grid, centres

    @cached_property
    def _many_sided(self) -> Integers:
        """Faces of more than four nodes, as beside smaller cells: some of their nodes are in line."""
        return np.flatnonzero(np.diff(self.mesh.first) > 4).astype(np.int32)

    def _middles(self, values: Reals) -> Reals:
        """Means (n, ...) of values at points over the nodes of each many-sided face."""
        mesh = self.mesh
        pieces = [values[mesh.nodes[mesh.first[f] : mesh.first[f + 1]]].mean(axis=0) for f in self._many_sided]
        return np.array(pieces).reshape(len(pieces), *values.shape[1:])

    def _pyramids(self) -> Integers:
        """Tetrahedra (n, 4) from the triangles of each face to the centres of its cells.

        Points are numbered first, then cells, then the middles of many-sided faces.
        """
        mesh = self.mesh
        count = np.diff(mesh.first)
        many = self._many_sided
        fan = np.where(count > 4, 0, count - 2)
        face = np.repeat(np.arange(len(count)), fan)
        step = np.arange(len(face)) - np.repeat(np.cumsum(fan) - fan, fan)
        start = mesh.first[:-1][face]
        triangles = np.stack([mesh.nodes[start], mesh.nodes[start + step + 1], mesh.nodes[start + step + 2]], axis=1)
        after = np.arange(1, len(mesh.nodes) + 1)
        after[mesh.first[1:] - 1] = mesh.first[:-1]
        around = np.repeat(np.arange(len(count)), count)
        of_many = np.flatnonzero(count[around] > 4)
        middle = np.repeat(len(mesh.points) + mesh.cells + np.arange(len(many)), count[many])
        rings = np.stack([mesh.nodes[of_many], mesh.nodes[after[of_many]], middle], axis=1)
        face, triangles = np.r_[face, around[of_many]], np.concatenate([triangles, rings])
        inner = face < len(mesh.neighbour)
        # a face leads out of its owner: the triangle is turned for the centre of the owner, not for the neighbour's
        out = np.column_stack([triangles[:, [0, 2, 1]], len(mesh.points) + mesh.owner[face]])
        into = np.column_stack([triangles[inner], len(mesh.points) + mesh.neighbour[face[inner]]])
        return np.concatenate([out, into])
