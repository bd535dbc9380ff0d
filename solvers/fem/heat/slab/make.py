"""Draws ``slab.step``: 200 x 100 x 100 mm. Run ``python make.py`` in this folder."""

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
gmsh.model.occ.addBox(0, 0, 0, 200, 100, 100)
gmsh.model.occ.synchronize()
gmsh.write("slab.step")
gmsh.finalize()
