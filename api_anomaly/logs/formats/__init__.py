"""Log formats: from one line of an access log to the ten fields of a log.

    format.py      what a format is: `Format`, `ParsedLog`, `ParseError`
    normalize.py   raw values -> the ten fields, within the limits of the HTTP contract
    access_log.py, aws_alb.py, json_lines.py    one module a family of formats
    registry.py    all formats, and the detection of the format of a sample

Nothing here reads files or the network. To add a format: write one module that ends in a `Format`
with an example line, and add it to the table in registry.py. The tests of tests/logs/formats run
over every format of the table.
"""
