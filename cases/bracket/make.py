"""Draws ``bracket.step``: a wall bracket with a rib, a boss for a pin and four bolt holes; all lengths in mm.

Run ``python make.py`` in this folder. Every inner edge is rounded, so that the stress at the rib root is finite.
"""

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ


def plate(outline: list[tuple[float, float]], y: float, thickness: float) -> list[tuple[int, int]]:
    """A plate with the outline (x, z), from y to y + thickness."""
    points = [cad.addPoint(x, y, z) for x, z in outline]
    lines = [cad.addLine(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True)]
    drawn = cad.extrude([(2, cad.addPlaneSurface([cad.addCurveLoop(lines)]))], 0, thickness, 0)
    return [entity for entity in drawn if entity[0] == 3]


angle = plate([(0, 0), (100, 0), (100, 10), (10, 10), (10, 90), (0, 90)], 0, 80)
rib = plate([(5, 5), (55, 5), (55, 10), (10, 55), (5, 55)], 35, 10)
boss = [(3, cad.addCylinder(80, 40, 0, 0, 0, 24, 13))]
part, _ = cad.fuse(angle, rib + boss)
cad.synchronize()


def edges(*middles: tuple[float, float, float]) -> list[int]:
    """The edges whose middles are these points."""
    found = []
    for wanted in middles:
        for _, tag in gmsh.model.getEntities(1):
            low, high = gmsh.model.getParametrizationBounds(1, tag)
            middle = gmsh.model.getValue(1, tag, [(low[0] + high[0]) / 2])
            if max(abs(a - b) for a, b in zip(middle, wanted, strict=True)) < 0.1:
                found.append(tag)
    assert len(found) == len(middles), (found, middles)
    return found


solid = [tag for _, tag in part]
root = edges(
    (32.5, 35, 10),
    (32.5, 45, 10),
    (10, 35, 32.5),
    (10, 45, 32.5),
    (55, 40, 10),
    (10, 40, 55),
    (10, 17.5, 10),
    (10, 62.5, 10),
)
rounded = cad.fillet(solid, root, [5.0])
cad.synchronize()
solid = [tag for _, tag in rounded]
rounded = cad.fillet(solid, edges((67, 40, 10)), [4.0])
holes = [(3, cad.addCylinder(-1, y, z, 12, 0, 0, 5.5)) for y in (16, 64) for z in (34, 74)]
holes.append((3, cad.addCylinder(80, 40, -1, 0, 0, 30, 7)))
part, _ = cad.cut(rounded, holes)
cad.synchronize()
gmsh.write("bracket.step")
gmsh.finalize()
