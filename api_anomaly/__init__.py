"""API Anomaly Detection: scores access logs by how unusual they are for their user.

docs/architecture.md describes the packages and how a request runs through them.
"""

__version__ = "0.2.0"
