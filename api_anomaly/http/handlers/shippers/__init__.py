"""Endpoints that log shippers know: their addresses, answers and errors, one protocol a module."""
