"""Draws ``beam.step``: half of a beam, 1000 mm long, 40 mm wide and 100 mm high, cut in its plane of symmetry.

Run ``python make.py`` in this folder.
"""

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
gmsh.model.occ.addBox(0, 0, -50, 1000, 20, 100)
gmsh.model.occ.synchronize()
gmsh.write("beam.step")
gmsh.finalize()
