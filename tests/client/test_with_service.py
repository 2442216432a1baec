"""The doors against the real service: what they send is accepted, what it answers is understood."""

import json
import random
import subprocess
import sys

import httpx
import pytest
from api_anomaly.client import smoke_logs
from api_anomaly.client.cli import main
from api_anomaly.client.service import connection
from api_anomaly.client.smoke import CHECKS, Deployment, results
from tests.support.paths import ROOT

DATA = ROOT.parent / "shared" / "data"
DAY = 1_706_745_600.0  # 2024-02-01


def labelled(tmp_path):
    """Two hours of calm users, then somebody who tries record numbers among them."""
    calm = smoke_logs.ordinary(12, 3000, "x", DAY)
    burst = smoke_logs.burst(DAY - 300, "scraper", 300)
    rows = [{**log, "label": 0} for log in calm]
    rows += [{**log, "label": 1, "attack": "enumeration"} for log in burst]
    rows.sort(key=lambda row: row["timestamp"])
    path = tmp_path / "labelled.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_attack_in_a_labelled_file_is_found(service, tmp_path, capsys):
    report = tmp_path / "report.json"
    arguments = ["--url", service.url, "--token", service.token, "--json", str(report)]
    assert main([str(labelled(tmp_path)), *arguments]) == 0
    written = json.loads(report.read_text())
    assert written["refused_logs"] == written["bad_lines"] == 0
    assert written["logs"] == 1650  # in three batches: this service takes 700 logs at once
    assert written["groups"][0]["name"] == "scraper"
    assert written["groups"][0]["reasons"]
    assert written["labels"]["recall"] > 0.9
    # Two hours of twelve users are too short a history for few false alarms; how many there are is
    # the matter of benchmarks/quality. Here they must be counted and reported.
    assert 0.0 <= written["labels"]["false_alarm_rate"] < 0.5
    assert written["attacks"][0]["actors_found"] == 1
    assert "enumeration" in capsys.readouterr().out


def test_odd_but_possible_lines_are_all_accepted(service, tmp_path):
    chance = random.Random(3)
    requests = [
        r"\x16\x03\x01",
        "-",
        "GET /a b HTTP/1.1",
        "PROPFIND /x HTTP/1.1",
        "get * HTTP/1.1",
        "CONNECT a:443 HTTP/1.1",
        "GET /" + "x" * 9000 + " HTTP/1.1",
        "",
    ]
    clients = ["10.0.0.1", "2001:db8::1", "::ffff:10.0.0.2", "a.example.net", "unix:"]
    lines = [
        f"{chance.choice(clients)} - {chance.choice(['-', 'ann', 'J Doe', 'x' * 400])}"
        f" [01/Feb/2024:00:{number // 60:02}:{number % 60:02} +0100]"
        f' "{chance.choice(requests)}" {chance.choice([200, 304, 400, 499, 599])}'
        f' {chance.choice(["-", 0, 10**15])} "-" "{chance.choice(["-", "", "curl", "y" * 3000])}"\n'
        for number in range(600)
    ]
    path = tmp_path / "access.log"
    path.write_text("".join(lines))
    report = tmp_path / "report.json"
    arguments = ["--url", service.url, "--token", service.token, "--json", str(report)]
    assert main([str(path), *arguments]) == 0
    written = json.loads(report.read_text())
    assert (written["bad_lines"], written["refused_logs"], written["logs"]) == (0, 0, 300)


def test_a_real_log_is_accepted_whole(service, tmp_path):
    path = DATA / "semicomplete_combined.log.gz"
    if not path.exists():
        pytest.skip("the real log semicomplete_combined.log.gz is not beside this project")
    report = tmp_path / "report.json"
    arguments = ["--url", service.url, "--token", service.token, "--json", str(report)]
    assert main([str(path), *arguments]) == 0
    written = json.loads(report.read_text())
    assert (written["bad_lines"], written["refused_logs"], written["logs"]) == (0, 0, 5000)


def test_without_a_model_the_answer_says_so(service, tmp_path, capsys):
    arguments = ["--url", service.url, "--token", service.token, "--no-train"]
    assert main([str(labelled(tmp_path)), *arguments]) == 1
    assert "Model not trained" in capsys.readouterr().err


def test_a_wrong_token_is_said_so(service, tmp_path, capsys):
    assert main([str(labelled(tmp_path)), "--url", service.url, "--token", "wrong"]) == 1
    assert "refuses the token" in capsys.readouterr().err


def test_too_few_logs_to_train_on_is_said_so(service, tmp_path, capsys):
    arguments = ["--url", service.url, "--token", service.token, "--limit", "8"]
    assert main([str(labelled(tmp_path)), *arguments]) == 1
    assert "10" in capsys.readouterr().err


def smoke(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "test_pipeline.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_smoke_test_passes_with_training(service):
    with connection(service.url, service.token, 60) as known:
        with connection(service.url, None, 60) as stranger:
            rows = list(results(Deployment(known, stranger, train=True)))
    assert {row.name: row.result for row in rows} == dict.fromkeys(CHECKS, "passed"), rows


def test_the_smoke_test_trains_nothing_unasked(service, tmp_path):
    report = tmp_path / "report.json"
    done = smoke("--url", service.url, "--token", service.token, "--report", report)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "there is no model yet; --train would train one" in done.stdout
    written = json.loads(report.read_text())
    assert written["passed"]
    assert {row["result"] for row in written["checks"]} == {"passed", "skipped"}
    with connection(service.url, service.token, 10) as client:
        assert client.get("/status").json()["is_trained"] is False


def test_the_smoke_test_leaves_a_trained_model_alone(service):
    with connection(service.url, service.token, 60) as client:
        client.post("/train", json={"logs": smoke_logs.ordinary(10, 500, "a", DAY)})
        before = client.get("/status").json()
        assert smoke("--url", service.url, "--token", service.token).returncode == 0
        after = client.get("/status").json()
    assert after["model_version"] == before["model_version"]


def test_the_smoke_test_fails_where_the_token_is_wrong(service):
    done = smoke("--url", service.url, "--token", "wrong")
    assert done.returncode == 1
    assert "failed" in done.stdout


def test_the_smoke_test_fails_where_nothing_answers():
    with httpx.Client(base_url="http://127.0.0.1:1") as nobody:
        rows = list(results(Deployment(nobody, nobody, train=False)))
    assert [row.result for row in rows] == ["failed"] + ["skipped"] * (len(CHECKS) - 1)
