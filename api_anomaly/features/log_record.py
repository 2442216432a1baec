"""One log, parsed: the keys, numbers and shape that the extraction needs of it."""

import math

import numpy as np

from api_anomaly.features.records import StatusClass
from api_anomaly.kernels import Record, kernel
from api_anomaly.logs.columns import METHODS, ColumnArrays
from api_anomaly.logs.templates import agent_family, join, read_path, read_shape, text_key

# Keys of different kinds of things differ even where the texts are equal.
_USER_SALT, _URL_SALT = 1, 2
_ADDRESS_SALT, _NETWORK_SALT, _TEMPLATE_SALT = np.uint64(3), np.uint64(4), np.uint64(5)
_PEER_GROUP_SALT = np.uint64(6)
_POST, _DELETE = METHODS.index("POST"), METHODS.index("DELETE")
_IPV4 = np.uint64(0xFFFF)  # upper half of the low word of an IPv4 address in IPv6 form
_LARGEST = 1e15  # seconds or bytes: more is cut, so that no sum of them can overflow

LOG = np.dtype(
    [
        ("time", "f8"),
        ("user", "u8"),
        ("address", "u8"),
        ("network", "u8"),
        ("user_agent", "u8"),  # family of user agents
        ("template", "u8"),
        ("endpoint", "u8"),  # template and method
        ("peer_group", "u8"),  # the family of user agents as an ENDPOINT record
        ("url", "u8"),
        ("number", "f8"),  # last number in the URL, -1 for none
        ("latency", "f8"),  # log s; NaN: unknown, as the next two
        ("request_size", "f8"),  # log(1 + bytes)
        ("response_size", "f8"),
        ("kilobytes", "f8"),  # of the response; 0 where unknown, as the next one
        ("seconds", "f8"),
        ("status", "i4"),
        ("status_class", "i4"),
        ("method", "i4"),
        ("denied", "i4"),  # whether the status is 401 or 403
        ("write", "i4"),  # whether the method is POST, PUT, PATCH or DELETE
        # Shape of the URL, as the features.
        ("length", "i4"),
        ("depth", "i4"),
        ("parameters", "i4"),
        ("unusual_characters", "i4"),
        ("longest_token", "i4"),
        ("has_user_agent", "i4"),
        ("peer_surprise_status", "f8"),  # bits; the extraction computes these three
        ("peer_surprise_write", "f8"),
        ("peer_surprise_endpoint", "f8"),
    ],
    align=True,
)


@kernel
def parse(log: Record, columns: ColumnArrays, i: int) -> None:
    """Fill in `log` from row i of the columns."""
    log.time = columns.time[i]
    _parse_client(log, columns, i)
    data, offsets = columns.endpoint.data, columns.endpoint.offsets
    start, stop = offsets[i], offsets[i + 1]
    template, path_end, log.depth = read_path(data, start, stop)
    log.method = columns.method[i]
    log.template = join(template, _TEMPLATE_SALT)
    log.endpoint = join(log.template, np.uint64(log.method))
    log.url = text_key(data, start, stop, _URL_SALT)
    log.length = stop - start
    log.parameters, log.unusual_characters, log.longest_token, log.number = read_shape(
        data, start, stop, path_end
    )
    log.write = _POST <= log.method <= _DELETE
    _parse_response(log, columns, i)


@kernel
def _parse_client(log: Record, columns: ColumnArrays, i: int) -> None:
    """Keys of user, address, network and user agent. A log without a user takes a key made of its
    address, and the reverse.
    """
    start, stop = columns.user.offsets[i], columns.user.offsets[i + 1]
    high, low = columns.address[i, 0], columns.address[i, 1]
    has_address = high != 0 or low != 0
    log.address = join(join(high, low), _ADDRESS_SALT)
    log.user = (
        text_key(columns.user.data, start, stop, _USER_SALT)
        if stop > start
        else join(log.address, _ADDRESS_SALT)
    )
    if not has_address:
        log.address = join(log.user, _ADDRESS_SALT)
    is_ipv4 = high == 0 and (low >> np.uint64(32)) == _IPV4
    network = low >> np.uint64(8) if is_ipv4 else high >> np.uint64(16)
    log.network = join(network if has_address else log.address, _NETWORK_SALT)
    start, stop = columns.agent.offsets[i], columns.agent.offsets[i + 1]
    log.user_agent = agent_family(columns.agent.data, start, stop)
    log.has_user_agent = stop - start > 1  # many logs write "-" for none
    log.peer_group = join(log.user_agent, _PEER_GROUP_SALT)


@kernel
def _parse_response(log: Record, columns: ColumnArrays, i: int) -> None:
    """Status, response time and sizes."""
    status = int(columns.status[i])
    log.status, log.denied = status, status == 401 or status == 403
    log.status_class = _status_class(status)
    log.latency, log.request_size, log.response_size = math.nan, math.nan, math.nan
    log.seconds, log.kilobytes = 0.0, 0.0
    if columns.response_time[i] >= 0.0:
        log.seconds = min(columns.response_time[i], _LARGEST)
        log.latency = math.log(log.seconds + 1e-4)
    if columns.request_size[i] >= 0.0:
        log.request_size = math.log1p(min(columns.request_size[i], _LARGEST))
    if columns.response_size[i] >= 0.0:
        log.kilobytes = min(columns.response_size[i], _LARGEST) / 1_000.0
        log.response_size = math.log1p(min(columns.response_size[i], _LARGEST))


@kernel
def _status_class(status: int) -> StatusClass:
    if status < 300:
        return StatusClass.success
    if status < 400:
        return StatusClass.redirect
    if status >= 500:
        return StatusClass.server_error
    if status == 401 or status == 403:
        return StatusClass.denied
    return StatusClass.not_found if status == 404 else StatusClass.client_error
