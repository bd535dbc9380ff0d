"""Linear static elasticity: does the part hold, and how much does it move?"""
