"""Spheres of several materials and sizes that touch each other and the walls of machines."""
