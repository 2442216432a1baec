"""Files on disk, and how they are verified when they are read.

Models (joblib files under a signed manifest), the memory snapshot, the labels, secret files.
Reading: read the bytes, verify the signature, verify the digests of those bytes, check format and
feature schema, and only then unpickle from those bytes. Writing: write under a temporary name,
flush to disk, rename, so that a kill at any moment leaves the old or the new file. No HTTP,
logging, pydantic or threads here; joblib and pickle are imported in this package only.
"""
