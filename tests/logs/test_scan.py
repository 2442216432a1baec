"""The parts of a scan, each beside what Python makes of the same text; and that ordinary traffic
is scanned."""

import ipaddress
import json
import math
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.logs.columns import METHODS, address_words
from api_anomaly.logs.scan.addresses import address
from api_anomaly.logs.scan.bodies import known
from api_anomaly.logs.scan.marks import ODD
from api_anomaly.logs.scan.moments import iso_seconds, unix_seconds
from api_anomaly.logs.scan.numbers import number
from api_anomaly.logs.scan.texts import copy_text
from api_anomaly.logs.decode import Decoder
from api_anomaly.logs.ordinary import Ordinary, ordinary
from api_anomaly.simulator.scenario import preset
from api_anomaly.simulator.simulation import simulate
from tests.support.wild_json import ADDRESSES, MOMENTS, NUMBERS, TEXTS

DETECT = known("logs", "threshold", "include_scores", "include_rules", "update_state")
LOG = {
    "timestamp": "2024-01-31T13:45:00.25+02:00",
    "user_id": 'usr_é"1',
    "endpoint": "/a/1?q=\U0001f600",
    "method": "get",
    "status_code": "404",
    "response_time": 0.12345678901234567,
    "ip_address": "2001:db8::1",
    "user_agent": "x" * 2_000,
    "request_size": 512.0,
    "response_size": -1,
    "colour": "red",
}


def scanned(log: dict[str, Any], ascii_only: bool = True, **options: Any) -> Ordinary:
    """A body of one log, which is ordinary."""
    body = json.dumps({"logs": [log]} | options, ensure_ascii=ascii_only).encode()
    found = ordinary(body, 10, DETECT)
    assert found is not None
    return found


@settings(max_examples=500)
@given(NUMBERS)
def test_a_number_is_the_nearest_float_or_none(text: str) -> None:
    data = text.encode() + b","
    value, end, whole = number(data, 0, len(data))
    if end == ODD:
        return
    assert value == float(data[:end])
    assert whole == isinstance(json.loads(data[:end]), int)


@settings(max_examples=500)
@given(st.floats(0, 1e16) | st.floats(1e-3, 1e3) | st.floats(1.7e9, 1.8e9))
def test_numbers_as_python_writes_them_are_hardly_ever_declined(value: float) -> None:
    data = repr(value).encode() + b","
    found, end, _ = number(data, 0, len(data))
    assert found == value if end != ODD else True


def test_clocks_and_durations_with_all_their_digits_are_read() -> None:
    draw = np.random.default_rng(1)
    values = np.concatenate([draw.uniform(1.7e9, 1.8e9, 5_000), draw.exponential(0.1, 5_000)])
    read = []
    for value in values.tolist():
        data = repr(value).encode() + b","
        read.append(number(data, 0, len(data))[0])
    declined = np.isnan(read)
    assert (np.array(read)[~declined] == values[~declined]).all()
    assert declined.mean() < 0.01


@settings(max_examples=500)
@given(MOMENTS)
def test_a_moment_is_as_pythons_or_none(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    seconds = iso_seconds(data, 1, len(data) - 1)
    if not math.isnan(seconds):
        moment = datetime.fromisoformat(text[1:-1])
        assert seconds == (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def test_every_day_of_the_years_that_are_read_follows_the_day_before() -> None:
    day = np.arange(np.datetime64("1700-01-01"), np.datetime64("2250-01-01"))
    texts = [f"{date}T00:00:00Z".encode() for date in day.astype(str).tolist()]
    seconds = [iso_seconds(text, 0, len(text)) for text in texts]
    assert seconds[0] == datetime(1700, 1, 1, tzinfo=UTC).timestamp()
    assert {later - sooner for sooner, later in pairwise(seconds)} == {86_400.0}


@pytest.mark.parametrize("value", [0.0, 1.5, 1749199389.7234821, 8799999999.5, 1e-7, 4.9999994])
def test_unix_seconds_are_cut_as_pydantic_does(value: float) -> None:
    read = Decoder(1, 1, scans=False).detection(
        json.dumps({"logs": [LOG | {"timestamp": value}]}).encode()
    )
    assert unix_seconds(value, False) == read.columns.time[0]


@settings(max_examples=500)
@given(ADDRESSES)
def test_an_address_is_as_pythons_or_none(text: str) -> None:
    data = text.encode()
    high, low, valid = address(data, 1, len(data) - 1)
    if valid:
        assert (high, low) == address_words(text[1:-1])
    elif text.isascii() and "%" not in text:
        with pytest.raises(ValueError, match="."):
            ipaddress.ip_address(text[1:-1])


@settings(max_examples=500)
@given(TEXTS)
def test_a_text_is_as_pythons_or_none(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    out = np.zeros(len(data), np.uint8)
    position, end, characters = copy_text(data, 1, len(data), out, 0)
    try:
        meant = json.loads(data[:position] if position != ODD else data)
        written = meant.encode()
    except ValueError:
        assert position == ODD
    else:
        assert position == ODD or (out[:end].tobytes(), characters) == (written, len(meant))


def test_every_method_has_its_place_whatever_its_case() -> None:
    for place, name in enumerate(METHODS):
        for text in (name.upper(), name.lower(), f" {name} "):
            assert scanned(LOG | {"method": text}).columns.method.tolist() == [place]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_full_log_is_scanned(ascii_only: bool) -> None:
    found = scanned(LOG, ascii_only, include_scores=True, threshold=-0.5, colour=5, x="y")
    assert (found.odd, found.number, found.columns.status.tolist()) == (0, -0.5, [404])
    assert found.columns.user.data.tobytes().decode() == LOG["user_id"]
    assert found.columns.endpoint.data.tobytes().decode() == LOG["endpoint"]
    assert found.columns.agent.data.size == 1024
    assert found.columns.response_time.tolist() == [LOG["response_time"]]
    assert found.logs[0].response_size == found.logs[-1].response_size == -1


def test_an_odd_log_takes_pydantic_and_keeps_its_place() -> None:
    logs = [LOG | {"user_id": f"u{i}"} for i in range(5)]
    for place in (1, 4):
        logs[place]["nested"] = {"deep": ["}", 1e400]}
    found = ordinary(json.dumps({"logs": logs}).encode(), 5, DETECT)
    assert found is not None and found.odd == 2
    assert [log.user_id for log in found.logs] == [f"u{i}" for i in range(5)]
    assert found.logs[1:3] == [found.logs[1], found.logs[2]]
    assert found.columns.user.data.tobytes() == b"u0u1u2u3u4"


@pytest.mark.parametrize("labels", [False, True])
def test_ordinary_traffic_is_scanned_without_an_object_for_any_log(labels: bool) -> None:
    logs = list(simulate(preset("day", seed=1)).logs(labels=labels))[:3_000]
    bodies = [json.dumps({"logs": logs}), json.dumps({"logs": logs}, separators=(",", ":"))]
    for body in (*bodies, json.dumps({"logs": logs}, indent=2)):
        found = ordinary(body.encode(), 3_000, DETECT)
        assert found is not None
        assert (found.odd, len(found.columns)) == (0, 3_000)
