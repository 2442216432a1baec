"""The client: an access log in, a report out, over HTTP only.

    source.py      bytes, gzip -> lines; JSON across lines -> one object a line
    lines.py       what is wrong with lines; the column header of a W3C log
    service.py     the service over HTTP: safe retries, errors that say what happened
    ingestion.py   lines as they are -> POST /ingest, in batches; label.py: labels in lines
    training.py    lines -> logs, by api_anomaly.logs.formats -> one training request
    summary.py     anomalies by user or address; labels.py: detections against the labels of a file
    report.py      the printed report; json_report.py: the same for programs
    replay.py      all of the above: train on the earlier part, send the rest
    smoke.py       a smoke test of a deployment

Of the service it imports `api_anomaly.logs.formats` only, for training; all else goes through the
HTTP contract, so what works here works for any client.
"""
