"""Log formats: from logs as people have them to the ten fields of a log.

    format.py      types: `TextFormat`, `JsonFormat`, `RawLog`, `ReadOptions`, errors
    read.py        the one entry: a body or events -> logs, and what was no log
    unwrap.py      what carries a line: syslog, CRI, Docker, documents, text fields of records
    auto.py        the format of lines, found by trying
    directive.py   nginx log_format, Apache LogFormat, Envoy format strings, field lists -> a format
    normalize.py   raw values -> the ten fields, within the limits of the HTTP contract
    contract.py    the contract's own JSON lines, fast
    registry.py    the tables of all formats
    the others     one module a family of formats

Nothing here reads files or the network. To add a format: write one module that ends in a row with
an example, and add it to a table in registry.py. The tests of tests/logs/formats run over all rows.
"""
