"""Why a log is anomalous, in words."""
