"""Draws ``plate.step``: a quarter of a plate with a hole, hole 40 mm, width 200 mm; lengths in mm.

The plate is 500 mm long, so that the hole does not feel its ends. Run ``python make.py`` in this folder.
"""

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
cad.cut([(3, cad.addBox(0, 0, 0, 250, 100, 10))], [(3, cad.addCylinder(0, 0, -1, 0, 0, 12, 20))])
cad.synchronize()
assert len(gmsh.model.getEntities(2)) == 7
gmsh.write("plate.step")
gmsh.finalize()
