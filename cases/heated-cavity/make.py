"""Draws ``cavity.step``: a square air gap of 40 as a slab 4 thick; lengths in mm.

Run ``python make.py`` in this folder.
"""

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
cad.addBox(0, 0, 0, 40, 40, 4)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("cavity.step")
gmsh.finalize()
