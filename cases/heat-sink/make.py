"""Draws ``heatsink.step``: a base of 60 x 60 x 6 mm with nine fins and, below, a pad for the chip; lengths in mm.

Run ``python make.py`` in this folder.
"""

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
base = (3, cad.addBox(-30, -30, 0, 60, 60, 6))
pad = (3, cad.addBox(-10, -10, -1, 20, 20, 1))
# 2 mm thick, 25 mm high, one every 7.25 mm: the outer ones end flush with the base
fins = [(3, cad.addBox(-30 + 7.25 * i, -30, 6, 2, 60, 25)) for i in range(9)]
cad.fuse([base], [pad, *fins])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1 and len(gmsh.model.getEntities(2)) == 43
gmsh.write("heatsink.step")
gmsh.finalize()
