"""The replay client: an access log in, an anomaly report out, over HTTP alone.

    file or - -> source (bytes, gzip) -> formats (which kind of line?) -> lines | records (parse)
              -> clean (the contract's ten fields) -> replaying (train, then detect in batches)
              -> tally (by user or address, against labels) -> tables (people), JSON (programs)

What lives here: everything that a client of the service needs. What may not: anything of
`api_anomaly`. The HTTP contract is the only thing that the two packages share, so what works here
works for any client.
"""
