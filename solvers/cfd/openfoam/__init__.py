"""Turbulent flow by OpenFOAM, an outside engine: k-omega SST through the same case schema and folder contract."""
