"""Draws ``body.step``: the Ahmed body with a slant of 25 degrees, without its stilts; lengths in mm.

1044 long, 389 wide, 288 high, nose rounded by 100, slant 222 long; its floor lies 50 above the ground z = 0, its nose
at x = 0 (Ahmed, Ramm and Faltin, SAE Technical Paper 840300, 1984).

Run ``python make.py`` in this folder.
"""

from math import cos, radians, sin

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
LENGTH, WIDTH, HEIGHT, NOSE, CLEAR = 1044, 389, 288, 100, 50
outline = [
    (0, 0),
    (LENGTH, 0),
    (LENGTH, HEIGHT - 222 * sin(radians(25))),
    (LENGTH - 222 * cos(radians(25)), HEIGHT),
    (0, HEIGHT),
]
points = [cad.addPoint(x, -WIDTH / 2, CLEAR + z) for x, z in outline]
lines = [cad.addLine(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True)]
drawn = cad.extrude([(2, cad.addPlaneSurface([cad.addCurveLoop(lines)]))], 0, WIDTH, 0)
cad.synchronize()
body = next(tag for dim, tag in drawn if dim == 3)
front = [tag for _, tag in gmsh.model.getEntities(1) if abs(gmsh.model.occ.getCenterOfMass(1, tag)[0]) < 1e-6]
assert len(front) == 4
cad.fillet([body], front, [NOSE])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("body.step")
gmsh.finalize()
