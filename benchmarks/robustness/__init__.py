"""How hard to break: overload, kills and a soak, against the real service in a process of its own.

Everything listens on loopback and ends by itself. ``scripts/hard --help`` is the door.
"""
