"""Draws ``silo.step``: a round silo and, within it, the loose floor that it is weighed on; lengths in mm.

Run ``python make.py`` in this folder.
"""

import gmsh

RADIUS, HEIGHT, THICK = 24.0, 140.0, 2.0

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
outer = (3, cad.addCylinder(0, 0, 0, 0, 0, HEIGHT, RADIUS + THICK))
inner = (3, cad.addCylinder(0, 0, -1, 0, 0, HEIGHT + 2, RADIUS))
cad.cut([outer], [inner])
cad.addCylinder(0, 0, -3, 0, 0, 3, RADIUS - 0.3)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 2
gmsh.write("silo.step")
gmsh.finalize()
