"""Speed of the service beside reference programs, all in one run.

On a shared machine only ratios are meaningful, so the contenders take turns, round after round, and
each figure is the median of the turns. Throughput is a closed loop; latency is an open loop, from
the moment when a request was due. The load is a process of its own.

``command`` runs the parts: ``throughput`` (requests and logs a second), ``model_step`` (scoring
alone), ``latency`` (constant rate, idle and during a training), ``full_memory``, ``long_training``,
``cold_start``. ``goals`` is the table of goals and guards of CI, ``report`` the page, ``echo`` and
``naive_service`` are contenders.
"""
