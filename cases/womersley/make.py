"""Draws ``vessel.step``: the blood in a vessel of 10 inside, 40 long, along x; lengths in mm.

Run ``python make.py`` in this folder.
"""

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
cad.addCylinder(0, 0, 0, 40, 0, 0, 5)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("vessel.step")
gmsh.finalize()
