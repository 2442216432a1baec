"""Formats of one log a JSON object: tables of the names that each server gives to the fields."""
