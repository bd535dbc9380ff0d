"""The mesh as people look at it before solving: cut open, and how good its elements are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hub.meshfile import MeshFile
from solvers.post.ink import FAINT, Sheet
from solvers.post.scene import Floats, Ints, Scene, View
from solvers.post.words import Language

PANEL = (1040, 860)
SIDE = 620
#: The four triangles of a tetrahedron, outward.
SIDES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
SKIN = (176, 200, 222)
CUT = (238, 196, 128)
LINE = (70, 84, 100)


def quality(points: Floats, cells: Ints) -> Floats:
    """Mean-ratio shape quality of each tetrahedron's corners (n_cells,): 1 regular, 0 flat, negative inside out.

    12 (3 V)^(2/3) / sum of squared edges (Liu and Joe, BIT 34, 1994, 268-287).
    """
    a, b, c, d = (points[cells[:, k]] for k in range(4))
    volume = np.einsum("ij,ij->i", b - a, np.cross(c - a, d - a)) / 6
    squares = sum(((p - q) ** 2).sum(axis=1) for p, q in ((a, b), (a, c), (a, d), (b, c), (b, d), (c, d)))
    return np.asarray(np.sign(volume) * 12 * np.cbrt(3 * np.abs(volume)) ** 2 / squares)


def outer_sides(cells: Ints) -> Ints:
    """The triangles (m, 3) that belong to one of the tetrahedra only."""
    sides = cells[:, SIDES].reshape(-1, 3)
    ordered = np.sort(sides, axis=1)
    order = np.lexsort(ordered.T[::-1])
    ranked = ordered[order]
    same = (ranked[1:] == ranked[:-1]).all(axis=1)
    alone = ~(np.r_[same, False] | np.r_[False, same])
    return np.asarray(sides[order[alone]])


def sides_as_edges(triangles: Ints) -> Ints:
    """Each edge of the triangles once (k, 2)."""
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    return np.unique(edges, axis=0)


def draw(folder: Path, target: Path) -> None:
    """Write the picture of the mesh in `folder`. Raises OSError, ValueError."""
    mesh, language = MeshFile.read(folder), Language.of_case(folder)
    if not len(mesh.cells):
        sheet = walls(mesh, language)
    elif mesh.dimension == 2:
        sheet = plane(mesh, language)
    else:
        corners = mesh.cells[:, :4]
        part = np.isin(mesh.facet_face, mesh.selections.get("part", []))
        near = mesh.points[np.unique(mesh.facets[part])] if part.any() else None
        sheet = picture(mesh.points, corners, quality(mesh.points, corners), language, near)
    sheet.save(target)


def picture(points: Floats, corners: Ints, good: Floats, language: Language, part: Floats | None = None) -> Sheet:
    """The mesh with a corner cut away along whole elements, and a histogram of quality beside it.

    part : (n, 3) the nodes of a part in the middle of its surroundings, which is then shown near by as well
    """
    used = points[np.unique(corners)]
    low, high = used.min(axis=0), used.max(axis=0)
    centre, off = (low + high) / 2, 0.5 * 0.12 * (high - low)[1]
    if part is not None:
        centre, off = (part.min(axis=0) + part.max(axis=0)) / 2, 0.0
        if part[:, 1].min() - low[1] < 1e-6 * (high - low)[1]:  # half a part: the plane of symmetry is the cut
            off = np.inf
    middle = points[corners].mean(axis=1)
    flat = (middle - centre) @ np.array([0.0, -1.0, 0.0])
    kept = corners[flat < off]
    shell, all_sides = outer_sides(kept), outer_sides(corners)
    code = len(points)
    key = lambda t: (np.sort(t, axis=1) * np.array([code * code, code, 1])).sum(axis=1)  # noqa: E731
    old = np.isin(key(shell), key(all_sides))
    rgb = np.where(old[:, None], np.array(SKIN), np.array(CUT)).astype(np.uint8)
    sheet = Sheet(PANEL[0] + SIDE, PANEL[1])
    panels = [(View.fit(used, (-1.0, -1.25, 0.9), PANEL, (36, 36)), 0)]
    if part is not None:
        half = PANEL[0], PANEL[1] // 2
        around = (part - centre) * 2.2 + centre
        panels = [
            (View.fit(used, (-0.1, -1.25, 0.12), half, (36, 18)), 0),
            (View.fit(around, (-0.1, -1.25, 0.12), half, (36, 18)), half[1]),
        ]
    for view, at in panels:
        scene = Scene()
        scene.surface(points, shell, cell_colours=rgb, smooth=False)
        scene.lines(points, sides_as_edges(shell), colour=LINE, width=0.8 if part is None else 0.5)
        sheet.paste(scene.draw(view), (0, at))
    _histogram(sheet, good, len(np.unique(corners)), language)
    return sheet


def plane(mesh: MeshFile, language: Language) -> Sheet:
    """The triangles of a plane domain, whole and near the smallest, and a histogram of quality beside them."""
    points, corners = mesh.points, mesh.cells[:, :3]
    a, b, c = (points[corners[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)[:, 2] / 2
    squares = sum(((p - q) ** 2).sum(axis=1) for p, q in ((a, b), (b, c), (c, a)))
    good = 4 * np.sqrt(3) * area / squares  # Bank and Smith, SIAM J. Numer. Anal. 34, 1997, 979-997
    if mesh.order == 2:
        flat, edges = _bent(mesh.cells)
    else:
        flat, edges = corners, sides_as_edges(corners)
    low, high = points.min(axis=0), points.max(axis=0)
    wide, tall = (high - low)[:2]
    above = min(max(round((PANEL[0] - 72) * tall / wide) + 60, 160), PANEL[1] // 2)
    middle = points[corners[int(np.argmin(area))]].mean(axis=0)
    around = 6 * np.sqrt(np.median(np.sort(area)[: max(len(area) // 5, 1)])) * 4
    near = middle + np.array([[-around, -around, 0], [around, around, 0]]) / 2
    sheet = Sheet(PANEL[0] + SIDE, PANEL[1])
    for shown, at, size in ((points, 0, above), (near, above, PANEL[1] - above)):
        view = View.fit(shown, (0.0, 0.0, 1.0), (PANEL[0], size), (36, 18))
        scene = Scene()
        scene.surface(points, flat, colour=SKIN, lit=False)
        scene.lines(points, edges, colour=LINE, width=0.8 if at else 0.5)
        sheet.paste(scene.draw(view), (0, at))
    _histogram(sheet, good, len(np.unique(corners)), language, "triangles")
    return sheet


def _bent(cells: Ints) -> tuple[Ints, Ints]:
    """(triangles, edges) through the middle nodes of triangles of second order (n, 6)."""
    parts = cells[:, [[0, 3, 5], [3, 1, 4], [5, 4, 2], [3, 4, 5]]].reshape(-1, 3)
    halves = np.sort(cells[:, [[0, 3], [3, 1], [1, 4], [4, 2], [2, 5], [5, 0]]].reshape(-1, 2), axis=1)
    return parts, np.unique(halves, axis=0)


def walls(mesh: MeshFile, language: Language) -> Sheet:
    """The triangles that grains will meet, seen from outside, and the quality of their shapes."""
    points, corners = mesh.points, mesh.facets[:, :3]
    view = View.fit(points, (-1.0, -1.25, 0.9), PANEL, (36, 36))
    scene = Scene()
    scene.surface(points, corners, colour=SKIN, smooth=False)
    scene.lines(points, sides_as_edges(corners), colour=LINE, width=0.8)
    a, b, c = (points[corners[:, k]] for k in range(3))
    squares = sum(((p - q) ** 2).sum(axis=1) for p, q in ((a, b), (b, c), (c, a)))
    good = 2 * np.sqrt(3) * np.linalg.norm(np.cross(b - a, c - a), axis=1) / squares
    sheet = Sheet(PANEL[0] + SIDE, PANEL[1])
    sheet.paste(scene.draw(view))
    _histogram(sheet, good, len(np.unique(corners)), language, "triangles")
    return sheet


def _histogram(
    sheet: Sheet, good: npt.NDArray[np.float64], corners: int, language: Language, what: str = "tetrahedra"
) -> None:
    left, right, top, bottom = PANEL[0] + 70, PANEL[0] + SIDE - 40, 210, PANEL[1] - 170
    counts, _ = np.histogram(np.clip(good, 0, 1), bins=20, range=(0, 1))
    most = max(int(counts.max()), 1)
    width = (right - left) / len(counts)
    for i, count in enumerate(counts):
        x, height = left + i * width, (bottom - top) * int(count) / most
        colour = (204, 102, 60) if i < 4 else (68, 119, 170)
        if count:
            sheet.pen.rectangle((x + 2, bottom - max(height, 2), x + width - 2, bottom), fill=colour)
    sheet.line((left, bottom), (right, bottom), colour=FAINT, width=2)
    for k in range(6):
        x = left + (right - left) * k / 5
        sheet.line((x, bottom), (x, bottom + 8), colour=FAINT, width=2)
        sheet.text((x, bottom + 30), language.number(k / 5), 24, colour=FAINT)
    say, middle = language.say, (left + right) / 2
    sheet.text((left, 60), say(what, language.number(len(good))), 32, anchor="lm", bold=True)
    sheet.text((left, 112), say("corners", language.number(corners)), 26, anchor="lm", colour=FAINT)
    sheet.text((left, top - 30), language.number(most), 22, anchor="lm", colour=FAINT)
    sheet.text((middle, bottom + 74), say("shape_quality"), 26)
    low, mean = (language.number(float(value), 3) for value in (good.min(), good.mean()))
    sheet.text((middle, bottom + 116), f"{say('min')} {low}   {say('mean')} {mean}", 26, colour=FAINT)
