"""Draws ``drum.step``: the shell of a drum, longer than the slice that is followed; lengths in mm.

Run ``python make.py`` in this folder.
"""

import gmsh

RADIUS, LENGTH, THICK = 40.0, 30.0, 2.0

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
outer = (3, cad.addCylinder(0, -LENGTH / 2, 0, 0, LENGTH, 0, RADIUS + THICK))
inner = (3, cad.addCylinder(0, -LENGTH, 0, 0, 2 * LENGTH, 0, RADIUS))
cad.cut([outer], [inner])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("drum.step")
gmsh.finalize()
