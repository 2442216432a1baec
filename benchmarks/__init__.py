"""The proof: simulated traffic with ground truth, and what is measured on it and on real logs.

May not live here: anything that the served product imports.
"""
