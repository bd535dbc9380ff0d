"""Draws ``channel.step``: the channel of the DFG benchmark 2D-2 as a slab 20 thick; lengths in mm.

2200 long and 410 high, across it a cylinder of diameter 100 with its middle 200 from the inlet and 200 above the floor
(Schaefer and Turek, Notes on Numerical Fluid Mechanics 52, 1996, 547-566).

Run ``python make.py`` in this folder.
"""

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
cad.cut([(3, cad.addBox(0, 0, 0, 2200, 410, 20))], [(3, cad.addCylinder(200, 200, -1, 0, 0, 22, 50))])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("channel.step")
gmsh.finalize()
