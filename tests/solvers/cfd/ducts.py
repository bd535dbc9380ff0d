"""Meshes that tests of flows share: gmsh models with named faces as mesh files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gmsh
import numpy as np

from hub.meshfile import MeshFile

#: gmsh's order of the nodes of quadratic tetrahedra -> VTK's.
TO_VTK = [0, 1, 2, 3, 4, 5, 6, 7, 9, 8]


@contextmanager
def model() -> Iterator[None]:
    """An empty model of gmsh, whose sizes come from `sized` alone."""
    gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    for key in ("FromPoints", "FromCurvature", "ExtendFromBoundary"):
        gmsh.option.setNumber("Mesh.MeshSize" + key, 0)
    try:
        yield
    finally:
        gmsh.finalize()


def meshed(dim: int, name: Callable[[np.ndarray], str]) -> MeshFile:
    """The model's mesh; `name` names a face by the centre of its bounding box."""
    gmsh.model.mesh.generate(dim)
    gmsh.model.mesh.setOrder(2)
    gmsh.model.mesh.optimize("HighOrder")
    tags, x, _ = gmsh.model.mesh.getNodes()
    row = np.zeros(int(tags.max()) + 1, dtype=np.int64)
    row[tags] = np.arange(len(tags))
    kinds = {1: (8, 3), 2: (9, 6), 3: (11, 10)}
    cells = [gmsh.model.mesh.getElementsByType(kinds[dim][0], e)[1] for _, e in gmsh.model.getEntities(dim)]
    body = np.repeat(np.arange(len(cells)), [len(c) // kinds[dim][1] for c in cells]).astype(np.int32)
    facets, face, names = [], [], []
    for i, (_, e) in enumerate(gmsh.model.getEntities(dim - 1)):
        kind, width = kinds[dim - 1]
        nodes = gmsh.model.mesh.getElementsByType(kind, e)[1].reshape(-1, width)
        facets.append(row[nodes])
        face.append(np.full(len(nodes), i, dtype=np.int32))
        box = np.array(gmsh.model.getBoundingBox(dim - 1, e))
        names.append(name((box[:3] + box[3:]) / 2))
    order = TO_VTK if dim == 3 else list(range(6))
    return MeshFile(
        points=x.reshape(-1, 3),
        cells=row[np.concatenate(cells)].reshape(-1, kinds[dim][1])[:, order],
        cell_body=body,
        facets=np.concatenate(facets),
        facet_face=np.concatenate(face),
        bodies=[{"name": f"body {i + 1}", "volume": 1.0} for i in range(len(cells))],
        faces=[{"index": i, "type": "other"} for i in range(len(names))],
        selections={n: [i for i, m in enumerate(names) if m == n] for n in set(names)},
        numbers={},
    )


def cylinder(near: float = 0.01, far: float = 0.05) -> MeshFile:
    """The channel with a cylinder of the DFG benchmarks in a plane; faces inlet, outlet, walls, cylinder.

    near, far : size of the triangles [m]
    """
    with model():
        cad = gmsh.model.occ
        cad.cut([(2, cad.addRectangle(0, 0, 0, 2.2, 0.41))], [(2, cad.addDisk(0.2, 0.2, 0, 0.05, 0.05))])
        cad.synchronize()
        grow = f"{near}+0.22*Abs(Sqrt((x-0.2)^2+(y-0.2)^2)-0.05)"
        sized(f"Min({far},{grow})")

        def name(x: np.ndarray) -> str:
            if np.allclose(x[:2], 0.2, atol=1e-3):
                return "cylinder"
            return "inlet" if x[0] < 1e-3 else "outlet" if x[0] > 2.199 else "walls"

        return meshed(2, name)


def step(inlet: float, drop: float, length: float, near: float, far: float) -> MeshFile:
    """A channel of height `inlet` that widens downwards by `drop` at x = 0; faces inlet, outlet, floor, walls.

    near, far : size of the triangles at the step and far behind it [m]
    """
    with model():
        cad = gmsh.model.occ
        top, before = drop + inlet, -5 * inlet
        outline = [(before, drop), (0, drop), (0, 0), (length, 0), (length, top), (before, top)]
        points = [cad.addPoint(x, y, 0) for x, y in outline]
        lines = [cad.addLine(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True)]
        cad.addPlaneSurface([cad.addCurveLoop(lines)])
        cad.synchronize()
        sized(f"Min({far},{near}+0.1*Sqrt(x^2+(y-{drop})^2))")

        def name(x: np.ndarray) -> str:
            if abs(x[0] - before) < 1e-6 * length or abs(x[0] - length) < 1e-6 * length:
                return "inlet" if x[0] < 0 else "outlet"
            return "floor" if abs(x[1]) < 1e-6 * length else "walls"

        return meshed(2, name)


def rectangle(length: float, height: float, size: str) -> MeshFile:
    """A rectangle from the origin; faces left, right, bottom, top. size : a formula of x and y [m]"""
    with model():
        gmsh.model.occ.addRectangle(0, 0, 0, length, height)
        gmsh.model.occ.synchronize()
        sized(size)

        def name(x: np.ndarray) -> str:
            ends = {"left": x[0], "right": length - x[0], "bottom": x[1], "top": height - x[1]}
            return min(ends, key=lambda end: ends[end])

        return meshed(2, name)


def pipe(radius: float, length: float, size: float) -> MeshFile:
    """A round pipe along z from the origin; faces inlet (z = 0), outlet, wall."""
    with model():
        gmsh.model.occ.addCylinder(0, 0, 0, 0, 0, length, radius)
        gmsh.model.occ.synchronize()
        sized(f"{size}")
        return meshed(3, lambda x: "inlet" if x[2] < 1e-6 else "outlet" if x[2] > length - 1e-6 else "wall")


def box(size: tuple[float, float, float], h: float) -> MeshFile:
    """A box from the origin; faces x0, x1, y0, y1, z0, z1."""
    with model():
        gmsh.model.occ.addBox(0, 0, 0, *size)
        gmsh.model.occ.synchronize()
        sized(f"{h}")

        def name(x: np.ndarray) -> str:
            ends = {f"{'xyz'[i]}{k}": abs(x[i] - k * size[i]) for i in range(3) for k in (0, 1)}
            return min(ends, key=lambda end: ends[end])

        return meshed(3, name)


def tee(h: float) -> MeshFile:
    """A square duct of 1 m along x that ends blind after 3 m; from 1.5 m to 2.5 m another leads off it, up to y = 3 m.

    Faces inlet (x = 0), outlet (y = 3), wall.
    """
    with model():
        cad = gmsh.model.occ
        cad.fuse([(3, cad.addBox(0, 0, 0, 3, 1, 1))], [(3, cad.addBox(1.5, 0, 0, 1, 3, 1))])
        cad.synchronize()
        sized(f"{h}")
        return meshed(3, lambda x: "inlet" if x[0] < 1e-6 else "outlet" if x[1] > 3 - 1e-6 else "wall")


def sized(formula: str) -> None:
    """Sizes of cells by a formula of x, y, z [m]."""
    field = gmsh.model.mesh.field
    field.add("MathEval", 1)
    field.setString(1, "F", formula)
    field.setAsBackgroundMesh(1)


def channel(near: float = 0.01, far: float = 0.06) -> MeshFile:
    """The channel with a cylinder of the DFG benchmarks in space; faces inlet, outlet, walls, cylinder."""
    with model():
        cad = gmsh.model.occ
        tube = cad.addCylinder(0.5, 0.2, 0, 0, 0, 0.41, 0.05)
        cad.cut([(3, cad.addBox(0, 0, 0, 2.5, 0.41, 0.41))], [(3, tube)])
        cad.synchronize()
        grow = f"{near}+0.3*Abs(Sqrt((x-0.5)^2+(y-0.2)^2)-0.05)"
        sized(f"Min({far}+0.04*Max(0,x-1.0),{grow})")

        def name(x: np.ndarray) -> str:
            if np.allclose(x[:2], (0.5, 0.2), atol=1e-3):
                return "cylinder"
            return "inlet" if x[0] < 1e-3 else "outlet" if x[0] > 2.499 else "walls"

        return meshed(3, name)


def ring(inner: float, outer: float, size: float) -> MeshFile:
    """Between two circles around the origin; faces inner, outer."""
    with model():
        cad = gmsh.model.occ
        cad.cut([(2, cad.addDisk(0, 0, 0, outer, outer))], [(2, cad.addDisk(0, 0, 0, inner, inner))])
        cad.synchronize()
        circles = sorted(gmsh.model.getEntities(1), key=lambda e: gmsh.model.occ.getMass(*e))
        lengths = {round(gmsh.model.occ.getMass(*e), 9) for e in circles}
        assert len(lengths) == 2
        sized(f"{size}")
        names = iter(["inner" if gmsh.model.occ.getMass(*e) < 2 * np.pi * (inner + outer) / 2 else "outer"
                      for e in gmsh.model.getEntities(1)])  # fmt: skip
        return meshed(2, lambda x: next(names))
