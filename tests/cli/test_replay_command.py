"""`api-anomaly replay` against a server with scripted replies."""

import json
import os
import subprocess
import sys

import pytest
from api_anomaly.cli.main import main

from tests.support.client_server import Reply, scripted_server
from tests.support.paths import ROOT

LINE = '10.0.0.{} - - [01/Feb/2024:00:00:00 +0000] "GET /{} HTTP/1.1" 200 5 "-" "curl/8"\n'
TRAINED = Reply(200, {"model_accuracy": 0.99, "model_version": "m1", "training_samples": 4})
METRICS = Reply(200, b"# TYPE x gauge\nprocess_resident_memory_bytes 3.145728e+08\n")


def detected(*flagged):
    reasons = [{"feature": "rate", "value": 9.0, "usual": 1.0, "text": "9 a minute, usually 1"}]
    anomalies = [
        {
            "log_index": index,
            "anomaly_score": -0.8,
            "risk": 97.0,
            "severity": "critical",
            "reasons": reasons,
        }
        for index in flagged
    ]
    body = {"anomalies": anomalies, "model_version": "m1", "threshold": -0.6, "model_confidence": 1}
    return Reply(200, body)


@pytest.fixture
def logfile(tmp_path):
    path = tmp_path / "access.log"
    path.write_text("".join(LINE.format(n, n) for n in range(1, 9)))
    return str(path)


def test_replay_trains_on_the_earlier_part_and_detects_on_the_later(logfile, tmp_path, capsys):
    report = tmp_path / "report.json"
    with scripted_server(TRAINED, detected(3), METRICS) as server:
        arguments = [logfile, "--url", server.url, "--token", "t", "--json", str(report)]
        assert main(["replay", *arguments]) == 0
    paths = [request.path for request in server.requests]
    assert paths == ["/train", "/detect", "/metrics"]
    sent = [[log["endpoint"] for log in r.body["logs"]] for r in server.requests[:2]]
    assert sent == [["/1", "/2", "/3", "/4"], ["/5", "/6", "/7", "/8"]]
    printed = capsys.readouterr()
    assert "Format: Apache or nginx combined access log (detected)" in printed.err
    for words in ("10.0.0.8", "9 a minute, usually 1", "300 MiB", "1 (25.00%): 1 critical"):
        assert words in printed.out
    written = json.loads(report.read_text())
    assert (written["format"], written["lines"], written["logs"]) == ("combined", 8, 4)
    assert (written["training"]["used"], written["groups"][0]["name"]) == (4, "10.0.0.8")
    assert written["labels"] is None


def test_the_share_and_the_limit_set_the_sizes_of_the_parts(logfile):
    with scripted_server(TRAINED, detected(), METRICS) as server:
        arguments = [logfile, "--url", server.url, "--train-share", "0.25", "--limit", "6"]
        assert main(["replay", *arguments]) == 0
    assert [len(r.body["logs"]) for r in server.requests[:2]] == [1, 5]


def test_without_training_all_logs_are_detected_on(logfile):
    with scripted_server(detected(), detected(), METRICS) as server:
        assert main(["replay", logfile, "--url", server.url, "--no-train", "--batch", "5"]) == 0
    assert [len(r.body["logs"]) for r in server.requests[:2]] == [5, 3]


def test_bad_lines_are_printed_with_their_numbers(logfile, capsys):
    with open(logfile, "a") as lines:
        lines.write("not a log\n")
    with scripted_server(detected(), METRICS) as server:
        assert main(["replay", logfile, "--url", server.url, "--no-train"]) == 0
    printed = capsys.readouterr().err
    assert "1 lines are no logs and were left out. The first:" in printed
    assert "line 9: not a line of a common or combined access log" in printed


def test_a_labelled_file_gives_figures_and_its_labels_are_not_sent(tmp_path, capsys):
    path = tmp_path / "labelled.ndjson"
    record = {"timestamp": 0, "endpoint": "/", "method": "GET", "status_code": 200}
    rows = [
        {**record, "user_id": "thief", "label": 1, "attack": "probe", "actor": "a-1"},
        {**record, "user_id": "ann", "label": 0},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with scripted_server(detected(0), METRICS) as server:
        assert main(["replay", str(path), "--url", server.url, "--no-train"]) == 0
    assert "probe" in capsys.readouterr().out
    assert all("label" not in log for log in server.requests[0].body["logs"])


FAILURES = [
    ("no such file", ["absent.log"], [], "No such file or directory"),
    ("no model", ["{log}", "--no-train"], [Reply(400, {"detail": "Model not trained."})], "400"),
    ("wrong token", ["{log}"], [Reply(401, {"detail": "no"})], "give the right one with --token"),
    ("a training is running", ["{log}"], [Reply(409, {"detail": "one runs"})], "another training"),
    ("wrong format", ["{log}", "--format", "ndjson"], [], "not in the format 'ndjson'"),
    (
        "a report that cannot be written",
        ["{log}", "--no-train", "--json", "{log}/x"],
        [detected(), METRICS],
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


@pytest.mark.parametrize("wrong", [["--train-share", "1"], ["--batch", "0"], ["--format", "xml"]])
def test_wrong_arguments_are_exit_code_2(logfile, wrong):
    with pytest.raises(SystemExit) as end:
        main(["replay", logfile, *wrong])
    assert end.value.code == 2


def test_without_metrics_only_the_memory_is_missing(logfile, capsys):
    with scripted_server(detected(), Reply(404, {})) as server:
        assert main(["replay", logfile, "--url", server.url, "--no-train"]) == 0
    assert "memory of the service" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "replies"),
    [(["--no-train"], [detected(), METRICS]), ([], [TRAINED, detected(), METRICS])],
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
    assert sum(len(r.body["logs"]) for r in server.requests if r.body) == 8
