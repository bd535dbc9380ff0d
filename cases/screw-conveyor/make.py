"""Draws ``screw.step``: a screw of four turns in a tube with a chute above its beginning; lengths in mm.

Run ``python make.py`` in this folder.
"""

from math import cos, pi, sin

import gmsh

SHAFT, FLIGHT, TUBE, THICK, PITCH, LENGTH, SECTIONS = 6.0, 14.5, 20.0, 2.0, 30.0, 120.0, 12

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ


def section(x: float) -> int:
    """The flight's rectangle where it is at x."""
    turn = 2 * pi * x / PITCH
    corners = [(x + dx, r) for dx, r in ((-1, 4.0), (1, 4.0), (1, FLIGHT), (-1, FLIGHT))]
    points = [cad.addPoint(p, -r * sin(turn), r * cos(turn)) for p, r in corners]
    return cad.addCurveLoop([cad.addLine(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True)])


# one turn is lofted and set four times in a row
one = cad.addThruSections([section(PITCH * i / SECTIONS) for i in range(SECTIONS + 1)], makeSolid=True)
turns = [one]
for k in range(1, round(LENGTH / PITCH)):
    copy = cad.copy(one)
    cad.translate(copy, k * PITCH, 0, 0)
    turns.append(copy)
shaft = (3, cad.addCylinder(-1, 0, 0, LENGTH + 4, 0, 0, SHAFT))
cad.fuse([shaft], [solid for turn in turns for solid in turn])

tube = (3, cad.addCylinder(-8, 0, 0, LENGTH + 2, 0, 0, TUBE + THICK))
chute = (3, cad.addBox(0, -22, 0, 40, 44, 60))
solid, _ = cad.fuse([tube], [chute])
bore = (3, cad.addCylinder(-1.5, 0, 0, LENGTH + 10, 0, 0, TUBE))
throat = (3, cad.addBox(2, -19.9, 0, 36, 39.8, 70))
cad.cut(solid, [bore, throat])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 2, gmsh.model.getEntities(3)
gmsh.write("screw.step")
gmsh.finalize()
