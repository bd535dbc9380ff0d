"""Finite elements on tetrahedra, by DOLFINx and PETSc."""

import os

# MPI ranks share the cores; threads of the linear algebra on top of them only get in each other's way. This stands
# before anything that reads it is imported.
os.environ["OMP_NUM_THREADS"] = "1"
