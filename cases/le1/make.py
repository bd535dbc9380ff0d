"""Draws ``le1.step``: the quarter of an elliptic ring of the NAFEMS benchmark LE1, 100 mm thick; lengths in mm.

Run ``python make.py`` in this folder.
"""

import gmsh

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
cad.extrude(ring, 0, 0, 100)
cad.synchronize()
solids = gmsh.model.getEntities(3)
cad.remove([e for e in gmsh.model.getEntities(2) if not gmsh.model.getAdjacencies(*e)[0].size], recursive=True)
cad.synchronize()
assert len(solids) == 1 and len(gmsh.model.getEntities(2)) == 6
gmsh.write("le1.step")
gmsh.finalize()
