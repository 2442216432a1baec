"""How fast: the service beside a bare FastAPI echo and Pydantic's parse, all in one run.

Only ratios mean something on a shared machine: the contenders take turns, round after round, and
each figure is the median of the rounds. The load is a closed loop from a process of its own: it
answers "how many", not "how late".
"""
