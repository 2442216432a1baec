"""How anomalous a log is: forest, abuse classifier, calibration and their training."""
