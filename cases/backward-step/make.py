"""Draws ``channel.step``: a channel 5.2 high that widens by a step of 4.9, as a slab 5 thick; lengths in mm.

The step is at x = 0; 50 of channel before it and 250 behind it (Armaly, Durst, Pereira and Schoenung, J. Fluid Mech.
127, 1983, 473-496: expansion 1.94).

Run ``python make.py`` in this folder.
"""

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
outline = [(-50, 4.9), (0, 4.9), (0, 0), (250, 0), (250, 10.1), (-50, 10.1)]
points = [cad.addPoint(x, y, 0) for x, y in outline]
lines = [cad.addLine(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True)]
cad.extrude([(2, cad.addPlaneSurface([cad.addCurveLoop(lines)]))], 0, 0, 5)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("channel.step")
gmsh.finalize()
