"""Trust: what is kept on disk, and how it is believed when it comes back.

What lives here: the models (joblib files under a signed manifest), the memory snapshot, the
answers to idempotency keys, the secret files. The order is always the same: read the bytes, verify
the signature, verify the digests of those very bytes, check format and feature schema, and only
then unpickle *from those bytes*. Files are written under a temporary name, flushed to the disk and
take their place by one rename (the answers are SQLite's to keep whole), so a kill at any moment
leaves the old or the new, never a half. What may not: HTTP, logging, pydantic,
threads of its own, and any judgement about logs.

joblib and pickle are imported in this room alone.
"""
