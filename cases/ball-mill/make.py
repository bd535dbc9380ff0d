"""Draws ``mill.step``: a ball mill with flat ends and eight lifters; lengths in mm.

Run ``python make.py`` in this folder.
"""

from math import pi

import gmsh

RADIUS, LENGTH, THICK, LIFTERS, LIFTER = 60.0, 50.0, 4.0, 8, (6.0, 5.0)

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
outer = (3, cad.addCylinder(0, -LENGTH / 2 - THICK, 0, 0, LENGTH + 2 * THICK, 0, RADIUS + THICK))
inner = (3, cad.addCylinder(0, -LENGTH / 2, 0, 0, LENGTH, 0, RADIUS))
mill, _ = cad.cut([outer], [inner])
lifters = []
for i in range(LIFTERS):
    lifter = (3, cad.addBox(RADIUS - LIFTER[1], -LENGTH / 2 - 1, -LIFTER[0] / 2, LIFTER[1] + 1, LENGTH + 2, LIFTER[0]))
    cad.rotate([lifter], 0, 0, 0, 0, 1, 0, 2 * pi * i / LIFTERS)
    lifters.append(lifter)
cad.fuse(mill, lifters)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("mill.step")
gmsh.finalize()
