"""The mesh as it goes from the mesh stage to a solver: ``mesh.npz`` and ``mesh.json``, plain arrays and plain data.

A solver needs neither gmsh nor meshio to read it, and nothing in it can run code (``allow_pickle`` is off).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

#: Cells across a gap from which the flow in it is trusted: straight pieces of a parabola pass 1 - 1/n^2 of its flow
#: (89 % with three), quadratic elements all of it, and have some left for what is no parabola.
ACROSS = 3.0


def cells_across(kinds: Iterable[str]) -> float:
    """Cells across a gap that are enough, by the kinds of a case's conditions.

    A plane of symmetry cuts gaps in half, and which ones nobody counted: half as many will do.
    """
    return ACROSS * (0.5 if {"symmetry", "slip"} & set(kinds) else 1.0)


@dataclass(frozen=True, kw_only=True)
class MeshFile:
    """A mesh with named bodies and faces: tetrahedra; triangles of a plane domain; or only the skin of walls.

    points : (n_points, 3) coordinates [m]; z is 0 in a plane domain
    cells : (n_cells, 4 or 10) point numbers, order of the nodes as in VTK (tetra, quadratic tetra); in a plane
        (n_cells, 3 or 6); (0, 4) where only walls are
    cell_body : (n_cells,) index into `bodies`
    facets : (n_facets, 3 or 6) point numbers of boundary and interface triangles, order as in VTK; in a plane
        (n_facets, 2 or 3)
    facet_face : (n_facets,) index into `faces`
    bodies : a dict each: name, volume [m3]
    faces : a dict each: what intake knows of the CAD face (hub.selection.Face as plain data)
    selections : name of a selection of the case -> indices into `faces`
    quality, numbers : what people look at before solving
    """

    points: npt.NDArray[np.float64]
    cells: npt.NDArray[np.int64]
    cell_body: npt.NDArray[np.int32]
    facets: npt.NDArray[np.int64]
    facet_face: npt.NDArray[np.int32]
    bodies: list[dict[str, Any]]
    faces: list[dict[str, Any]]
    selections: dict[str, list[int]]
    numbers: dict[str, Any]

    @property
    def order(self) -> int:
        """Order of the geometry: 1 or 2."""
        return 2 if self.cells.shape[1] in (6, 10) else 1

    @property
    def dimension(self) -> int:
        """2 for a plane domain, else 3."""
        return 2 if self.cells.shape[1] in (3, 6) else 3

    def write(self, folder: Path) -> None:
        """``mesh.npz`` and ``mesh.json`` into `folder`."""
        with (folder / "mesh.npz").open("wb") as stream:
            np.savez(
                stream,
                points=self.points,
                cells=self.cells,
                cell_body=self.cell_body,
                facets=self.facets,
                facet_face=self.facet_face,
            )
        data = {"bodies": self.bodies, "faces": self.faces, "selections": self.selections, "numbers": self.numbers}
        (folder / "mesh.json").write_text(json.dumps(data, indent=1, allow_nan=False))

    @classmethod
    def read(cls, folder: Path) -> MeshFile:
        """The mesh in `folder`. Raises OSError, ValueError if it is not one."""
        with np.load(folder / "mesh.npz", allow_pickle=False) as arrays:
            data = {name: arrays[name] for name in ("points", "cells", "cell_body", "facets", "facet_face")}
        return cls(**data, **json.loads((folder / "mesh.json").read_bytes()))
