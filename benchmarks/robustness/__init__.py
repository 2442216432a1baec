"""Robustness: overload, kills, fuzzing and a soak, against the real service in its own process.

Everything listens on loopback and ends by itself. The command line is ``scripts/hard``.
"""
