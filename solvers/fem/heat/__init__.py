"""Steady heat conduction in parts of several materials."""
