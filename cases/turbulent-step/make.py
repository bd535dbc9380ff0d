"""Draws ``channel.step``, an air channel 8 steps high that widens by a step of 12.7, and writes ``inlet.csv``.

A slab 10 thick, lengths in mm. The step is at x = 0, its foot at y = 0; 20 steps of channel before it and 32 behind it
(D. M. Driver, H. L. Seegmiller, AIAA J. 23, 1985, 163-171: expansion 9/8). The floor is parted at x = 12 steps, so that
the mesh may be finer where the flow turns back. On both walls boundary layers of 1.2 steps enter, by the 1/7 power law;
they grow to the measured 1.5 steps four steps before the step.

Run ``python make.py`` in this folder.
"""

from pathlib import Path

import gmsh

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ
H = 12.7
outline = [(-20, 1), (0, 1), (0, 0), (12, 0), (32, 0), (32, 9), (-20, 9)]
points = [cad.addPoint(x * H, y * H, 0) for x, y in outline]
lines = [cad.addLine(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True)]
cad.extrude([(2, cad.addPlaneSurface([cad.addCurveLoop(lines)]))], 0, 0, 10)
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1
gmsh.write("channel.step")
gmsh.finalize()

SPEED, THICK = 44.2, 1.2 * H
off = [0, 0.002, 0.006, 0.015, 0.03, 0.06, 0.1, 0.15, 0.22, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
rows = [(H + THICK * e, SPEED * e ** (1 / 7)) for e in off]
rows += [(9 * H - THICK * e, SPEED * e ** (1 / 7)) for e in reversed(off)]
Path("inlet.csv").write_text("y [mm],u [m/s]\n" + "".join(f"{y:.3f},{u:.3f}\n" for y, u in rows))
