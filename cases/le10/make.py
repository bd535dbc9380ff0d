"""Draws ``le10.step``: the thick elliptic plate of the NAFEMS benchmark LE10; lengths in mm.

The outer face is cut into three bands, so that the middle one can be held: the benchmark holds the middle line.
Run ``python make.py`` in this folder.
"""

import gmsh

#: Thickness of the plate, height of the band around the middle of its outer face.
THICKNESS, BAND = 600.0, 50.0

gmsh.initialize()
gmsh.option.setNumber("General.Terminal", 0)
gmsh.option.setString("Geometry.OCCTargetUnit", "MM")
cad = gmsh.model.occ


def quarter(a: float, b: float) -> int:
    """A quarter of the disc with half axes a (along x) and b (along y)."""
    centre, right, top = cad.addPoint(0, 0, 0), cad.addPoint(a, 0, 0), cad.addPoint(0, b, 0)
    arc = cad.addEllipseArc(right, centre, right if a > b else top, top)
    return cad.addPlaneSurface([cad.addCurveLoop([cad.addLine(centre, right), arc, cad.addLine(top, centre)])])


ring, _ = cad.cut([(2, quarter(3250, 2750))], [(2, quarter(2000, 1000))])
plate = [e for e in cad.extrude(ring, 0, 0, THICKNESS) if e[0] == 3]
outer = [
    e
    for e in cad.getEntities(2)
    if abs(cad.getCenterOfMass(*e)[2] - THICKNESS / 2) < 1e-6 and min(cad.getCenterOfMass(*e)[:2]) > 1500
]
assert len(outer) == 1
lines = []
for z in ((THICKNESS - BAND) / 2, (THICKNESS + BAND) / 2):
    centre, right, top = (cad.addPoint(x, y, z) for x, y in ((0, 0), (3250, 0), (0, 2750)))
    lines.append((1, cad.addEllipseArc(right, centre, right, top)))
cad.fragment(plate, lines)
cad.synchronize()
cad.remove([e for d in (2, 1, 0) for e in gmsh.model.getEntities(d) if not gmsh.model.getAdjacencies(*e)[0].size])
cad.synchronize()
assert len(gmsh.model.getEntities(3)) == 1, gmsh.model.getEntities(3)
assert len(gmsh.model.getEntities(2)) == 8, gmsh.model.getEntities(2)
gmsh.write("le10.step")
gmsh.finalize()
