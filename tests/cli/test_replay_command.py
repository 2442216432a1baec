"""`api-anomaly replay` against a server with scripted replies."""

import json
import os
import subprocess
import sys

import pytest
from api_anomaly.cli.main import main

from tests.support.client_server import Reply, scripted_server
from tests.support.ingest_replies import anomaly, ingested
from tests.support.paths import ROOT

LINE = '10.0.0.{} - - [01/Feb/2024:00:00:00 +0000] "GET /{} HTTP/1.1" 200 5 "-" "curl/8"\n'
TRAINED = Reply(200, {"model_accuracy": 0.99, "model_version": "m1", "training_samples": 4})
METRICS = Reply(200, b"# TYPE x gauge\nprocess_resident_memory_bytes 3.145728e+08\n")


STATUS = Reply(200, {"threshold": -0.6})


def texts(request):
    return request.body.decode().split("\n")


@pytest.fixture
def logfile(tmp_path):
    path = tmp_path / "access.log"
    path.write_text("".join(LINE.format(n, n) for n in range(1, 9)))
    return str(path)


def test_replay_trains_on_the_earlier_part_and_sends_the_later(logfile, tmp_path, capsys):
    report = tmp_path / "report.json"
    with scripted_server(TRAINED, ingested(4, anomaly(4, None)), STATUS, METRICS) as server:
        arguments = [logfile, "--url", server.url, "--token", "t", "--json", str(report)]
        assert main(["replay", *arguments]) == 0
    paths = [request.path for request in server.requests]
    assert paths == ["/train", "/ingest?anomalies=true&format=auto", "/status", "/metrics"]
    trained = [log["endpoint"] for log in server.requests[0].body["logs"]]
    assert trained == ["/1", "/2", "/3", "/4"]
    assert texts(server.requests[1]) == [LINE.format(n, n).strip() for n in (5, 6, 7, 8)]
    printed = capsys.readouterr()
    for words in (
        "192.0.2.1",
        "line 8: 200 GET /4",
        "9 a minute, usually 1",
        "300 MiB",
        "1 (25.00%): 1 critical",
        "m1, -0.6000",
    ):
        assert words in printed.out
    written = json.loads(report.read_text())
    assert (written["format"], written["lines"], written["logs"]) == ("combined", 8, 4)
    assert (written["training"]["used"], written["groups"][0]["name"]) == (4, "192.0.2.1")
    assert written["labels"] is None


def test_the_share_and_the_limit_set_the_sizes_of_the_parts(logfile):
    with scripted_server(TRAINED, ingested(5), STATUS, METRICS) as server:
        arguments = [logfile, "--url", server.url, "--train-share", "0.25", "--limit", "6"]
        assert main(["replay", *arguments]) == 0
    assert len(server.requests[0].body["logs"]) == 1
    assert len(texts(server.requests[1])) == 5


def test_without_training_all_lines_are_sent(logfile):
    with scripted_server(ingested(5), ingested(3), STATUS, METRICS) as server:
        assert main(["replay", logfile, "--url", server.url, "--no-train", "--batch", "5"]) == 0
    assert [len(texts(request)) for request in server.requests[:2]] == [5, 3]


def test_bad_lines_are_printed_with_their_numbers(logfile, capsys):
    errors = [{"line": 7, "reason": "not a line of an access log"}]
    reply = ingested(7, rejected=1, errors=errors, warnings=["the clock is late"])
    with scripted_server(reply, STATUS, METRICS) as server:
        assert main(["replay", logfile, "--url", server.url, "--no-train"]) == 0
    printed = capsys.readouterr().err
    assert "1 lines are no logs and were left out. The first:" in printed
    assert "line 7: not a line of an access log" in printed
    assert "The service warns: the clock is late" in printed


def test_a_labelled_file_gives_figures(tmp_path, capsys):
    path = tmp_path / "labelled.ndjson"
    record = {"timestamp": 0, "endpoint": "/", "method": "GET", "status_code": 200}
    rows = [
        {**record, "user_id": "thief", "label": 1, "attack": "probe", "actor": "a-1"},
        {**record, "user_id": "ann", "label": 0},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with scripted_server(ingested(2, 1), STATUS, METRICS) as server:
        assert main(["replay", str(path), "--url", server.url, "--no-train"]) == 0
    assert "probe" in capsys.readouterr().out


FAILURES = [
    ("no such file", ["absent.log"], [], "No such file or directory"),
    ("no such format", ["{log}", "--format", "xml"], [], "there is no format of this name"),
    ("no such time zone", ["{log}", "--time-zone", "Mars/Base"], [], "--time-zone"),
    ("no network", ["{log}", "--trusted-proxies", "10.0.0.1/8"], [], "--trusted-proxies"),
    (
        "a format that the service does not know",
        ["{log}", "--no-train", "--format", "xml"],
        [Reply(422, {"detail": [{"msg": "no such format"}], "code": "format_unknown"})],
        "no such format",
    ),
    ("wrong token", ["{log}"], [Reply(401, {"detail": "no"})], "give the right one with --token"),
    ("a training is running", ["{log}"], [Reply(409, {"detail": "one runs"})], "another training"),
    ("wrong format", ["{log}", "--format", "ndjson"], [], "lines are no logs in the format"),
    (
        "a report that cannot be written",
        ["{log}", "--no-train", "--json", "{log}/x"],
        [ingested(8), STATUS, METRICS],
        "cannot write",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "replies", "words"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES]
)
def test_an_error_is_one_message_and_exit_code_1(logfile, capsys, arguments, replies, words):
    with scripted_server(*replies) as server:
        formatted = [argument.format(log=logfile) for argument in arguments]
        assert main(["replay", *formatted, "--url", server.url]) == 1
    printed = capsys.readouterr().err
    assert words in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("wrong", [["--train-share", "1"], ["--batch", "0"]])
def test_wrong_arguments_are_exit_code_2(logfile, wrong):
    with pytest.raises(SystemExit) as end:
        main(["replay", logfile, *wrong])
    assert end.value.code == 2


def test_without_metrics_and_status_only_their_figures_are_missing(logfile, capsys):
    with scripted_server(ingested(8), Reply(403, {}), Reply(404, {})) as server:
        assert main(["replay", logfile, "--url", server.url, "--no-train"]) == 0
    assert "memory of the service" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "replies"),
    [
        (["--no-train"], [ingested(8), STATUS, METRICS]),
        ([], [TRAINED, ingested(4), STATUS, METRICS]),
    ],
    ids=["in one go", "with training"],
)
def test_standard_input_and_the_first_token_of_the_environment(logfile, more, replies):
    with scripted_server(*replies) as server, open(logfile, "rb") as lines:
        done = subprocess.run(
            [sys.executable, "-m", "api_anomaly", "replay", "-", "--url", server.url, *more],
            stdin=lines,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "AUTH_TOKEN": "first, second"},
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert {request.headers["Authorization"] for request in server.requests} == {"Bearer first"}
    trained = sum(len(r.body["logs"]) for r in server.requests if r.path == "/train")
    assert trained + sum(len(texts(r)) for r in server.requests if "/ingest" in r.path) == 8
