"""API Anomaly Detection: which requests in an access log are anomalous user behaviour, how sure,
and why.

::

    POST body -> scan, or service.schemas -> Columns -> behaviours(+ Memory) -> X (n, d) -> forest
    -> calibration -> verdicts
    history   -> scan, or service.schemas -> Columns -> the same behaviours  -> X -> fit -> vault
    (signed files) -> served model

Import law (checked by scripts/check): ``service > vault > scan > core > compiled > absent >
errors``, each imports only to its right; ``rules`` stands beside core and imports nothing of the
others. Training
and serving call the same behaviours, so a feature has one definition and no skew is possible. A log
is scored against the past, then joins it.
"""

__version__ = "0.1.0"
