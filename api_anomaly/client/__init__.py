"""The client: an access log in, a report out, over HTTP only.

    source.py      bytes, gzip -> lines or JSON items
    reader.py      lines -> logs, by api_anomaly.logs.formats; label.py: labels in lines
    input_formats.py    the formats of files by name
    service.py     the service over HTTP: safe retries, errors that say what happened
    training.py    one training request of many logs
    detection.py   detection in batches
    summary.py     anomalies by user or address; labels.py: detections against the labels of a file
    report.py      the printed report; json_report.py: the same for programs
    replay.py      all of the above: train on the earlier part, detect on the rest
    smoke.py       a smoke test of a deployment

Of the service it imports `api_anomaly.logs.formats` only: everything else goes through the HTTP
contract, so what works here works for any client.
"""
