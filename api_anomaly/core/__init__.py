"""Thinking: pure arithmetic over columns of logs. Arrays and events in, verdicts out.

What lives here: the columns, the clockless windows, the bounded memory, the behaviours, the
forest, the calibration, the reasons and the detector that joins them. What may not: I/O, clocks,
threads, logging, HTTP, pydantic, pickles. Time arrives in the logs. Inside this room a higher
number always means more anomalous (`suspicion`); the sign of the wire's scores is made once, in
`detector`.
"""
