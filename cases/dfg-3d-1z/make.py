"""Draws ``channel.step``: the channel of the DFG benchmark 3D-1Z; lengths in mm.

2500 long, 410 high and wide, across it a cylinder of diameter 100 along z with its middle 500 from the inlet and 200
above the floor (Schaefer and Turek, Notes on Numerical Fluid Mechanics 52, 1996, 547-566).

Run ``python make.py`` in this folder.
"""

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
cad.cut([(3, cad.addBox(0, 0, 0, 2500, 410, 410))], [(3, cad.addCylinder(500, 200, -1, 0, 0, 412, 50))])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("channel.step")
gmsh.finalize()
