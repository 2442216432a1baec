"""Metrics and the service's own log."""
