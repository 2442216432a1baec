"""How fast: the service beside what it could be compared with, all in one run.

Only ratios mean something on a shared machine, so the contenders take turns, round after round, and
each figure is the median of the turns. "How many" is a closed loop; "how late" is an open loop, in
which latencies count from the moment a request was due. The load is a process of its own.

``command`` runs the parts: ``side`` (requests and logs a second), ``models`` (the model step),
``late`` (constant rate, during a training), ``grown`` (a full memory), ``million`` (a long
training), ``cold`` (starts). ``goals`` is the table of what was promised and what CI guards,
``report`` the page. ``echo`` and ``obvious`` are contenders.
"""
