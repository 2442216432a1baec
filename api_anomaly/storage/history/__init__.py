"""The history: an append-only journal of what was received, and Parquet files by hour.

entry.py      one request's logs as a record of the journal
journal.py    the journal: segments of checksummed records
tables.py     Parquet: columns -> tables by hour, and back (imports pyarrow)
worker.py     the process that does the work on Parquet files, so that the service needs no
              memory for pyarrow and no time on its cores
"""
