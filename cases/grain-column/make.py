"""Draws ``column.step``: a floor and, standing on it, the tube that holds the grains; lengths in mm.

Run ``python make.py`` in this folder.
"""

import gmsh

RADIUS, HEIGHT, THICK = 30.0, 60.0, 2.0

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
cad.addBox(-150, -150, -5, 300, 300, 5)
# the tube ends a little above the floor, less than a grain's radius
outer = (3, cad.addCylinder(0, 0, 0.5, 0, 0, HEIGHT, RADIUS + THICK))
inner = (3, cad.addCylinder(0, 0, 0, 0, 0, HEIGHT + 1, RADIUS))
cad.cut([outer], [inner])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 2
gmsh.write("column.step")
gmsh.finalize()
