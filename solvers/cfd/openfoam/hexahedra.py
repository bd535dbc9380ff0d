"""Hexahedra in a box around a part: blockMesh for the box, snappyHexMesh for the skin, with layers along its walls."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hub.case import Around, Layers
from hub.solver import StageError
from solvers.cfd.openfoam import program
from solvers.cfd.openfoam.conditions import Wall
from solvers.cfd.openfoam.foamfile import Reals, write_dictionary
from solvers.cfd.openfoam.polymesh import Patch, PolyMesh
from solvers.cfd.openfoam.setup import Boundary, Setup

#: The sides of a box: axis and end, in the order of blockMesh's corners.
SIDES = {(0, 0): (0, 4, 7, 3), (0, 1): (1, 2, 6, 5), (1, 0): (0, 1, 5, 4), (1, 1): (3, 7, 6, 2),
         (2, 0): (0, 3, 2, 1), (2, 1): (4, 5, 6, 7)}  # fmt: skip
#: Cells are halved where the skin turns by more than this across one of them [rad]. Meshes for aerodynamics resolve
#: curvature by 10 to 15 degrees a cell, fine ones by 5 (documentation of Flow360, curvatureResolutionAngle); coarser
#: cells at a rounded nose miss its suction, and all that is missing there is drag.
BEND = math.radians(5)
#: Sides of triangles that turn by more are edges of the part, not bends [rad].
EDGE = math.radians(30)


@dataclass(frozen=True)
class Box:
    """The box around a part and the part's skin, from the mesh of the mesh stage.

    low, high : (3,) corners of the box [m]; sides : axis and end -> the patch there
    skin : patch -> (n, 3, 3) triangles [m]; size : typical edge of the skin's triangles [m]
    """

    low: Reals
    high: Reals
    sides: dict[tuple[int, int], Boundary]
    skin: dict[str, Reals]
    size: float

    @property
    def called(self) -> dict[str, str]:
        """Patch of the skin -> what snappyHexMesh calls it: by its name alone where there is one only."""
        return {name: f"skin_{name}" if len(self.skin) > 1 else "skin" for name in self.skin}

    @classmethod
    def of(cls, setup: Setup) -> Box:
        """Raises StageError where the domain is no box."""
        mesh = setup.mesh
        triangles = mesh.points[mesh.facets[:, :3]]
        group = {face: b for b in setup.boundaries for face in b.faces}
        low, high = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
        near = 1e-6 * float((high - low).max())
        sides: dict[tuple[int, int], Boundary] = {}
        in_skin = np.ones(len(triangles), dtype=bool)
        for axis, end in SIDES:
            level = (low, high)[end][axis]
            on_it = (np.abs(triangles[:, :, axis] - level) < near).all(axis=1)
            faces = np.unique(mesh.facet_face[on_it])
            found = {group[f].name: group[f] for f in faces if f in group}
            if len(found) != 1:
                raise StageError(
                    "box",
                    f"The side of the box at {'xyz'[axis]} = {level:.4g} m has {len(found)} conditions.",
                    "Hexahedra need one condition on each side of the box; choose tetrahedra.",
                )
            sides[axis, end] = next(iter(found.values()))
            in_skin &= ~on_it
        skin = {}
        for b in setup.boundaries:
            mine = in_skin & np.isin(mesh.facet_face, b.faces)
            if mine.any():
                skin[b.name] = triangles[mine]
        if not skin:
            raise StageError("box", "There is no part in the box.", "Check the geometry and the domain.")
        every = np.concatenate(list(skin.values()))
        edges = np.linalg.norm(every - np.roll(every, 1, axis=1), axis=2)
        return cls(low, high, sides, skin, float(np.median(edges)))


@dataclass(frozen=True)
class Sizes:
    """How finely to cut.

    surface : cells at the skin [m]; level : halvings of the box's cells down to these
    bend : how far the skin may turn across such a cell [rad] before cells are halved once more
    """

    surface: float
    level: int
    bend: float = BEND

    @property
    def box(self) -> float:
        return self.surface * 2**self.level

    def coarser(self, ratio: float) -> Sizes:
        """Larger by a ratio everywhere: where these cells are halved at bends, those are too."""
        return Sizes(self.surface * ratio, self.level, self.bend * ratio)


def sizes(setup: Setup, box: Box) -> Sizes:
    """Cells at the skin as large as the triangles there; those of the box about a third of the part's width."""
    every = np.concatenate(list(box.skin.values())).reshape(-1, 3)
    along = _along(setup)
    across = np.delete(np.ptp(every, axis=0), int(np.abs(along).argmax()))
    level = round(math.log2(max(float(across.max()) / 2.5 / box.size, 1.0)))
    return Sizes(box.size, min(max(level, 1), 6))


def _along(setup: Setup) -> Reals:
    domain = setup.bound.case.domain
    assert isinstance(domain, Around)
    return np.array(domain.along, dtype=float)


def make(setup: Setup, box: Box, size: Sizes, case: Path, watch: Callable[[str], None]) -> PolyMesh:
    """Cut the mesh in a case's folder. watch : what is being done. Raises StageError."""
    setup.write_control(case, start=0, end=1, stop=case / "stop", upwind=True, rough=False)
    blocks = _block_mesh(box, size)
    write_dictionary(case / "system" / "blockMeshDict", blocks)
    write_stl(box.skin, case / "constant" / "triSurface" / "skin.stl")
    bent = bends(box, size)
    if len(bent):
        write_stl({"bent": bent}, case / "constant" / "triSurface" / "bent.stl")
    write_dictionary(case / "system" / "surfaceFeatureExtractDict", {
        "skin.stl": {"extractionMethod": "extractFromSurface", "extractFromSurfaceCoeffs": {"includedAngle": 150},
                     "writeObj": False},
    })  # fmt: skip
    write_dictionary(case / "system" / "snappyHexMeshDict", _snappy(setup, box, size, bent=len(bent) > 0))
    watch("cutting the box into cells")
    program.run(case, "blockMesh")
    program.run(case, "surfaceFeatureExtract")
    watch("fitting the cells to the skin")
    program.run(case, "snappyHexMesh", "-overwrite")
    found = PolyMesh.read(case)
    kinds = {b.name: b.kind for b in setup.boundaries}
    ours = {theirs: name for name, theirs in box.called.items()}
    names = [ours.get(p.name, p.name) for p in found.patches]
    patches = tuple(
        Patch(name, kinds[name], p.start, p.count) for name, p in zip(names, found.patches, strict=True) if p.count
    )
    mesh = PolyMesh(found.points, found.first, found.nodes, found.owner, found.neighbour, patches)
    mesh.write(case)
    absent = [name for name in (*box.skin, *(b.name for b in box.sides.values())) if name not in mesh.sizes]
    if absent:
        raise StageError(
            "mesh",
            f"{len(absent)} faces of the part are too small for cells of {size.surface:.3g} m.",
            "Choose a smaller mesh size.",
        )
    return mesh


def bends(box: Box, size: Sizes) -> Reals:
    """Triangles (n, 3, 3) [m] of the skin that turn by more than `size.bend` across a cell, edges left aside.

    The curvature across a side of two triangles is the angle between their normals over the distance of their centres.
    """
    triangles = np.concatenate(list(box.skin.values()))
    near = 1e-6 * float(np.ptp(triangles.reshape(-1, 3), axis=0).max())
    _, node = np.unique(np.round(triangles.reshape(-1, 3) / near).astype(np.int64), axis=0, return_inverse=True)
    corners = node.reshape(-1, 3)
    sides = np.sort(corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    order = np.lexsort(sides.T)
    same = (sides[order][1:] == sides[order][:-1]).all(axis=1)
    one, two = order[:-1][same] // 3, order[1:][same] // 3
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    turn = np.arccos(np.clip(np.abs(np.einsum("ij,ij->i", normal[one], normal[two])), 0, 1))
    centre = triangles.mean(axis=1)
    apart = np.linalg.norm(centre[one] - centre[two], axis=1)
    bent = (turn < EDGE) & (turn * size.surface > size.bend * apart)
    return np.asarray(triangles[np.union1d(one[bent], two[bent])])


def _block_mesh(box: Box, size: Sizes) -> dict[str, Any]:
    low, high = box.low, box.high
    count = np.maximum(np.round((high - low) / size.box), 1).astype(int)
    corners = [[x, y, z] for z in (low[2], high[2]) for x, y in
               ((low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1]))]  # fmt: skip
    patches: dict[str, tuple[str, list[tuple[int, ...]]]] = {}
    for side, nodes in SIDES.items():
        b = box.sides[side]
        patches.setdefault(b.name, (b.kind, []))[1].append(nodes)
    boundary = " ".join(
        f"{name} {{ type {kind}; faces ({' '.join('(' + ' '.join(map(str, f)) + ')' for f in faces)}); }}"
        for name, (kind, faces) in patches.items()
    )
    grid = " ".join(map(str, count))
    return {
        "scale": 1,
        "vertices": corners,
        "blocks": f"(hex (0 1 2 3 4 5 6 7) ({grid}) simpleGrading (1 1 1))",
        "edges": "()",
        "boundary": f"({boundary})",
    }


def _snappy(setup: Setup, box: Box, size: Sizes, *, bent: bool) -> dict[str, Any]:
    h, level = size.surface, size.level
    every = np.concatenate(list(box.skin.values())).reshape(-1, 3)
    low, high = every.min(axis=0), every.max(axis=0)
    along, span = _along(setup), high - low
    width = float(np.delete(span, int(np.abs(along).argmax())).max())
    length = float(np.abs(along) @ span)
    reaches = (4 * h, max(8 * h, 0.3 * width), max(16 * h, width))
    near = [[reach, level - k] for k, reach in enumerate(reaches) if level > k]
    wakes = {
        f"wake{k}": (_behind(low, high, along, reach * length, 0.1 * width), level - k)
        for k, reach in enumerate((0.35, 1.0, 2.5))
        if level > k
    }
    walls = {b.name for b in setup.of(Wall)}
    asked = {b.name: one for one in setup.bound.case.mesh.layers for b in setup.boundaries if one.on in b.selections}
    absolute = any(one.first for one in asked.values())  # one first height is given: then all are in metres
    unit = h if absolute else 1.0
    layers = {}
    for name in box.skin:
        if name in walls:
            layers[box.called[name]] = _layers(asked.get(name), unit)
    for b in box.sides.values():  # the ground, where layers are asked for
        if b.name in asked:
            layers[b.name] = _layers(asked[b.name], unit)
    centre = _inside(box)
    # no tetrahedra of sound quality are asked for within the cells: particles would need them, layers break off for it
    quality = {
        "maxNonOrtho": 65, "maxBoundarySkewness": 20, "maxInternalSkewness": 4, "maxConcave": 80, "minVol": 1e-30,
        "minTetQuality": -1e30, "minArea": -1, "minTwist": 0.02, "minDeterminant": 0.001, "minFaceWeight": 0.05,
        "minVolRatio": 0.01, "minTriangleTwist": -1, "nSmoothScale": 4, "errorReduction": 0.75,
        "relaxed": {"maxNonOrtho": 75},
    }  # fmt: skip
    return {
        "castellatedMesh": True,
        "snap": True,
        "addLayers": bool(layers),
        "geometry": {
            "skin.stl": {"type": "triSurfaceMesh", "name": "skin"},
            **({"bent.stl": {"type": "triSurfaceMesh", "name": "bent"}} if bent else {}),
            **{name: {"type": "searchableBox", "min": ends[0], "max": ends[1]} for name, (ends, _) in wakes.items()},
        },
        "castellatedMeshControls": {
            "maxLocalCells": 10_000_000, "maxGlobalCells": 50_000_000, "minRefinementCells": 0,
            "nCellsBetweenLevels": 2, "resolveFeatureAngle": 30,
            "features": f'({{ file "skin.eMesh"; level {level + 1}; }})',
            "refinementSurfaces": {"skin": {"level": [level, level + 1]}},
            "refinementRegions": {
                "skin": {"mode": "distance", "levels": near},
                **({"bent": {"mode": "distance", "levels": [[2 * h, level + 1]]}} if bent else {}),
                **{name: {"mode": "inside", "levels": [[1e15, fine]]} for name, (_, fine) in wakes.items()},
            },
            "locationInMesh": centre, "allowFreeStandingZoneFaces": True,
        },
        "snapControls": {
            "nSmoothPatch": 3, "tolerance": 2.0, "nSolveIter": 50, "nRelaxIter": 5, "nFeatureSnapIter": 10,
            "implicitFeatureSnap": False, "explicitFeatureSnap": True, "multiRegionFeatureSnap": True,
        },
        "addLayersControls": {
            "relativeSizes": not absolute, "layers": layers,
            "expansionRatio": 1.2, "finalLayerThickness": 0.4 * unit, "minThickness": 1e-12, "nGrow": 0,
            "featureAngle": 180, "nRelaxIter": 5, "nSmoothSurfaceNormals": 1, "nSmoothNormals": 3,
            "nSmoothThickness": 10, "maxFaceThicknessRatio": 0.5, "maxThicknessToMedialRatio": 0.3,
            "minMedialAxisAngle": 90, "nBufferCellsNoExtrude": 0, "nLayerIter": 50, "nRelaxedIter": 20,
            "slipFeatureAngle": 30,
        },
        "meshQualityControls": quality,
        "mergeTolerance": 1e-6,
    }  # fmt: skip


def _behind(low: Reals, high: Reals, along: Reals, reach: float, margin: float) -> tuple[Reals, Reals]:
    """The box from a quarter of the part before its tail to `reach` behind it [m]."""
    axis = int(np.abs(along).argmax())
    forward = along[axis] > 0
    start, end = low - margin, high + margin
    tail, quarter = (high if forward else low)[axis], (high - low)[axis] / 4
    start[axis] = tail - quarter if forward else tail - reach
    end[axis] = tail + reach if forward else tail + quarter
    return start, end


def _layers(asked: Layers | None, unit: float) -> dict[str, Any]:
    """The layers of a patch. unit : what thicknesses are given in: cells, or the size of a cell [m]

    Those of walls of which nothing was said are together as thick as a cell: more breaks off where the skin bends.
    """
    if asked is None:
        return {"nSurfaceLayers": 5, "expansionRatio": 1.25, "finalLayerThickness": 0.3 * unit}
    thickness = {"firstLayerThickness": asked.first} if asked.first else {"finalLayerThickness": 0.4 * unit}
    return {"nSurfaceLayers": asked.count, "expansionRatio": asked.growth, **thickness}


def _inside(box: Box) -> Reals:
    """A place in the fluid: near the corner of the box that the part is farthest from, on no plane of the grid."""
    every = np.concatenate(list(box.skin.values())).reshape(-1, 3)
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    places = box.low + (box.high - box.low) * np.where(corners == 1, 0.99137, 0.00863)
    away = [float(np.linalg.norm(every - p, axis=1).min()) for p in places]
    return np.asarray(places[int(np.argmax(away))])


def write_stl(skin: dict[str, Reals], file: Path) -> None:
    """The skin as triangles in a solid for each patch."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as stream:
        for name, triangles in skin.items():
            stream.write(f"solid {name}\n")
            for a, b, c in triangles:
                corners = "".join("vertex {:.9g} {:.9g} {:.9g}\n".format(*p) for p in (a, b, c))
                stream.write(f"facet normal 0 0 0\nouter loop\n{corners}endloop\nendfacet\n")
            stream.write(f"endsolid {name}\n")


def frontal_area(triangles: Reals, along: Reals, cells: int = 1500) -> float:
    """What a flow `along` sees of the triangles (n, 3, 3) [m2]: their shadow, on a grid of about cells^2."""
    along = along / np.linalg.norm(along)
    one = np.cross(along, np.eye(3)[int(np.abs(along).argmin())])
    one /= np.linalg.norm(one)
    flat = triangles @ np.stack([one, np.cross(along, one)], axis=1)
    low, span = flat.min(axis=(0, 1)), np.ptp(flat, axis=(0, 1))
    step = float(span.max()) / cells
    shadow = np.zeros(tuple(np.ceil(span / step).astype(int) + 1), dtype=bool)
    for a, b, c in (flat - low) / step:
        det = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if abs(det) < 1e-12:
            continue
        first = np.floor(np.minimum(np.minimum(a, b), c)).astype(int)
        last = np.ceil(np.maximum(np.maximum(a, b), c)).astype(int)
        x, y = np.meshgrid(np.arange(first[0], last[0]) + 0.5, np.arange(first[1], last[1]) + 0.5, indexing="ij")
        s = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / det
        t = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / det
        shadow[first[0] : last[0], first[1] : last[1]] |= (s >= 0) & (t >= 0) & (s + t <= 1)
    return float(shadow.sum()) * step**2
