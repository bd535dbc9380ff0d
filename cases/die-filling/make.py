"""Draws ``die.step``: a table with the cavity of a die in it, and the shoe that brings the powder; lengths in mm.

Run ``python make.py`` in this folder.
"""

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
table = (3, cad.addBox(-22, -11, -14, 78, 22, 14))
cavity = (3, cad.addBox(25, -6, -10, 12, 12, 11))
cad.cut([table], [cavity])
# the shoe is open below and above, and slides a little above the table
outer = (3, cad.addBox(-20, -9, 0.2, 20, 18, 36))
inner = (3, cad.addBox(-19, -8, 0, 18, 16, 40))
cad.cut([outer], [inner])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 2
gmsh.write("die.step")
gmsh.finalize()
