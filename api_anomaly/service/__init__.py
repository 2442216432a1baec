"""Serving: the only room that knows HTTP, pydantic, Prometheus and loguru.

What lives here: the settings, the schemas, the routes, and the `Serving` object that owns the one
detector and its lock. What may not: arithmetic on behaviours (core), files of models (vault).

One process serves: the detector's memory is in it. Inside, the event loop decodes and scores small
requests itself; larger ones and trainings go to threads, so `/health` always answers.
"""
