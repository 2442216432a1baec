"""Synthetic attacks in the team's own traffic: training data of the abuse classifier."""
