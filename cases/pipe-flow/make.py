"""Draws ``pipe.step``: the water in a pipe of 20 inside, 400 long, along x; lengths in mm.

Run ``python make.py`` in this folder.
"""

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
cad.addCylinder(0, 0, 0, 400, 0, 0, 10)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("pipe.step")
gmsh.finalize()
