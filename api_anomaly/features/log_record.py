"""Reading one log: the keys, numbers and shape that the behaviour pass needs of it."""

import math

import numpy as np

from api_anomaly.kernels import kernel
from api_anomaly.logs.columns import METHODS
from api_anomaly.logs.templates import agent_family, join, read_path, read_shape, text_key

_USER_SALT, _OBJECT_SALT = 1, 2
_ADDRESS_SALT, _NETWORK_SALT, _PLACE_SALT = np.uint64(3), np.uint64(4), np.uint64(5)
_PEERS_SALT = np.uint64(6)
_POST, _DELETE = METHODS.index("POST"), METHODS.index("DELETE")
_V4 = np.uint64(0xFFFF)  # upper half of the low word of an IPv4 address in IPv6 form
_MOST = 1e15  # seconds or bytes: more is cut, so that no sum of them can overflow

#: What the pass works out about the log at hand.
LOG = np.dtype(
    [
        ("time", "f8"),
        ("user", "u8"),
        ("address", "u8"),
        ("network", "u8"),
        ("agent", "u8"),
        ("place", "u8"),  # key of the endpoint's template
        ("endpoint", "u8"),  # key of template and method
        ("peers", "u8"),  # key of the user-agent family as a group
        ("object", "u8"),  # key of the whole endpoint
        ("number", "f8"),
        ("latency", "f8"),  # log s
        ("request_size", "f8"),  # log(1 + bytes)
        ("response_size", "f8"),
        ("kilobytes", "f8"),
        ("seconds", "f8"),
        ("status", "i4"),
        ("status_class", "i4"),
        ("method", "i4"),
        ("denied", "i4"),
        ("write", "i4"),
        ("length", "i4"),
        ("depth", "i4"),
        ("parameters", "i4"),
        ("odd", "i4"),
        ("longest", "i4"),
        ("agent_known", "i4"),
        ("odd_status", "f8"),  # bits, against the peers
        ("odd_write", "f8"),
        ("odd_endpoint", "f8"),
    ],
    align=True,
)


@kernel
def read(log, arrays, i):  # type: ignore[no-untyped-def]
    """Work out what the pass needs to know about log i."""
    log.time = arrays.time[i]
    _read_who(log, arrays, i)
    data, offsets = arrays.endpoint.data, arrays.endpoint.offsets
    start, stop = offsets[i], offsets[i + 1]
    place, path_end, log.depth = read_path(data, start, stop)
    log.method = arrays.method[i]
    log.place = join(place, _PLACE_SALT)
    log.endpoint = join(log.place, np.uint64(log.method))
    log.object = text_key(data, start, stop, _OBJECT_SALT)
    log.length = stop - start
    log.parameters, log.odd, log.longest, log.number = read_shape(data, start, stop, path_end)
    log.write = _POST <= log.method <= _DELETE
    _read_result(log, arrays, i)


@kernel
def _read_who(log, arrays, i):  # type: ignore[no-untyped-def]
    """Keys of user, address, network and agent; a missing one of the first two is stood in for by
    the other.
    """
    start, stop = arrays.user.offsets[i], arrays.user.offsets[i + 1]
    high, low = arrays.address[i, 0], arrays.address[i, 1]
    known_address = high != 0 or low != 0
    log.address = join(join(high, low), _ADDRESS_SALT)
    log.user = (
        text_key(arrays.user.data, start, stop, _USER_SALT)
        if stop > start
        else join(log.address, _ADDRESS_SALT)
    )
    if not known_address:
        log.address = join(log.user, _ADDRESS_SALT)
    v4 = high == 0 and (low >> np.uint64(32)) == _V4
    network = low >> np.uint64(8) if v4 else high >> np.uint64(16)
    log.network = join(network if known_address else log.address, _NETWORK_SALT)
    start, stop = arrays.agent.offsets[i], arrays.agent.offsets[i + 1]
    log.agent = agent_family(arrays.agent.data, start, stop)
    log.agent_known = stop - start > 1  # many logs write "-" for none
    log.peers = join(log.agent, _PEERS_SALT)


@kernel
def _read_result(log, arrays, i):  # type: ignore[no-untyped-def]
    """Status, time and sizes of the response; unknown ones add nothing and are usual."""
    status = int(arrays.status[i])
    log.status, log.denied = status, status == 401 or status == 403
    kind = 0 if status < 300 else 1 if status < 400 else 2 if status < 500 else 5
    log.status_class = 3 if log.denied else 4 if status == 404 else kind
    log.latency, log.request_size, log.response_size = math.nan, math.nan, math.nan
    log.seconds, log.kilobytes = 0.0, 0.0
    if arrays.response_time[i] >= 0.0:
        log.seconds = min(arrays.response_time[i], _MOST)
        log.latency = math.log(log.seconds + 1e-4)
    if arrays.request_size[i] >= 0.0:
        log.request_size = math.log1p(min(arrays.request_size[i], _MOST))
    if arrays.response_size[i] >= 0.0:
        log.kilobytes = min(arrays.response_size[i], _MOST) / 1_000.0
        log.response_size = math.log1p(min(arrays.response_size[i], _MOST))
