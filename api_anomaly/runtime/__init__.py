"""Use cases of the running service. Knows no HTTP."""
