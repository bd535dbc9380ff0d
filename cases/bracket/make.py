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


# first the ridge of the rib, so that the rounding of its root runs around its ends without a mitre
rounded = cad.fillet([tag for _, tag in part], edges((32.5, 35, 32.5), (32.5, 45, 32.5)), [4.0])
cad.synchronize()


def root() -> list[int]:
    """Where rib and plate, rib and wall, plate and wall meet."""
    found = []
    for _, tag in gmsh.model.getEntities(1):
        x0, y0, z0, x1, y1, z1 = gmsh.model.getBoundingBox(1, tag)
        on_plate = abs(z0 - 10) < 0.01 and abs(z1 - 10) < 0.01 and x0 > 9.9 and x1 < 60
        on_wall = abs(x0 - 10) < 0.01 and abs(x1 - 10) < 0.01 and z0 > 9.9 and z1 < 60
        inner = on_plate and on_wall
        if inner or ((on_plate or on_wall) and y0 > 34 and y1 < 46):
            found.append(tag)
    return found


rounded = cad.fillet([tag for _, tag in rounded], root(), [5.0])
cad.synchronize()
rounded = cad.fillet([tag for _, tag in rounded], edges((67, 40, 10)), [4.0])
holes = [(3, cad.addCylinder(-1, y, z, 12, 0, 0, 5.5)) for y in (16, 64) for z in (34, 74)]
holes.append((3, cad.addCylinder(80, 40, -1, 0, 0, 30, 7)))
part, _ = cad.cut(rounded, holes)
cad.synchronize()
gmsh.write("bracket.step")
gmsh.finalize()
