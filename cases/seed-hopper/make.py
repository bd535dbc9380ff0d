"""Draws ``hopper.step``: a flat-bottomed round hopper with a hole and the slide that closes it; lengths in mm.

Run ``python make.py`` in this folder.
"""

import gmsh

RADIUS, HEIGHT, HOLE, THICK = 35.0, 130.0, 13.0, 2.0

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
outer = (3, cad.addCylinder(0, 0, -THICK, 0, 0, HEIGHT + THICK, RADIUS + THICK))
inner = (3, cad.addCylinder(0, 0, 0, 0, 0, HEIGHT + 1, RADIUS))
hole = (3, cad.addCylinder(0, 0, -THICK - 1, 0, 0, THICK + 2, HOLE))
cad.cut([outer], [inner, hole])
# the slide hangs a little below the bottom, so that it touches nothing
cad.addBox(-20, -20, -THICK - 1.2, 40, 40, 1)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 2
gmsh.write("hopper.step")
gmsh.finalize()
