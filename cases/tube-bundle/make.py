"""Draws ``oil.step``: the oil around one tube of a square bundle as a slab 4 thick; lengths in mm.

Tubes of diameter 16, 25.888 apart: they fill 30 % of the room, one of the densities for which the drag is tabulated.

Run ``python make.py`` in this folder.
"""

import gmsh

PITCH = 25.888

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
cad.cut([(3, cad.addBox(-PITCH / 2, -PITCH / 2, 0, PITCH, PITCH, 4))], [(3, cad.addCylinder(0, 0, -1, 0, 0, 6, 8))])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("oil.step")
gmsh.finalize()
