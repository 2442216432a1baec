"""What shippers send around logs -> events. Pure: bytes in, events and facts for the answer out.

A reader raises EnvelopeBroken where a body is not what its protocol says; what the events hold is
read by `logs.formats`, so that one bad log costs no other.
"""
