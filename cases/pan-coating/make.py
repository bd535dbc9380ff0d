"""Draws ``pan.step``: a coating pan with flat ends and six ribs inside; lengths in mm.

Run ``python make.py`` in this folder.
"""

from math import pi

import gmsh

RADIUS, LENGTH, THICK, RIBS, RIB = 90.0, 80.0, 3.0, 6, (5.0, 8.0)

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
outer = (3, cad.addCylinder(0, -LENGTH / 2 - THICK, 0, 0, LENGTH + 2 * THICK, 0, RADIUS + THICK))
inner = (3, cad.addCylinder(0, -LENGTH / 2, 0, 0, LENGTH, 0, RADIUS))
pan, _ = cad.cut([outer], [inner])
ribs = []
for i in range(RIBS):
    rib = (3, cad.addBox(RADIUS - RIB[1], -LENGTH / 2 - 1, -RIB[0] / 2, RIB[1] + 1, LENGTH + 2, RIB[0]))
    cad.rotate([rib], 0, 0, 0, 0, 1, 0, 2 * pi * i / RIBS)
    ribs.append(rib)
cad.fuse(pan, ribs)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("pan.step")
gmsh.finalize()
