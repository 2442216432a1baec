"""The command `api-anomaly`: help, arguments and errors of every sub-command."""

import subprocess
import sys

import pytest
from api_anomaly import __version__
from api_anomaly.cli.main import COMMANDS, main
from api_anomaly.settings import variables

from tests.support.client_server import Reply, scripted_server
from tests.support.paths import ROOT

LINE = '10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET /{} HTTP/1.1" 200 5 "-" "curl/8"\n'
NAMES = [command.name for command in COMMANDS]


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_explains_and_needs_no_installed_package(name):
    # -S: without site-packages.
    done = subprocess.run(
        [sys.executable, "-S", "-m", "api_anomaly", *name.split(), "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "exit codes:" in done.stdout
    assert f"api-anomaly {name}".rstrip() in done.stdout


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"{command.name} " in printed for command in COMMANDS)
    assert all(command.summary in printed for command in COMMANDS)


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"api-anomaly {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["fly"], ["serve", "now"], ["train"]])
def test_wrong_arguments_are_exit_code_2(arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


def test_settings_lists_every_setting(capsys):
    assert main(["settings"]) == 0
    printed = capsys.readouterr().out
    assert all(f"`{variable}`" in printed for variable in variables())


def test_a_reader_that_ends_early_is_not_an_error():
    command = f"{sys.executable} -u -m api_anomaly settings"
    with subprocess.Popen(
        command.split(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_serve_names_a_setting_that_is_wrong(capsys, monkeypatch):
    monkeypatch.setenv("PORT", "http")
    assert main(["serve"]) == 1
    assert "api-anomaly serve: PORT is 'http'" in capsys.readouterr().err


STATUS = {"is_trained": True, "model": {"version": "m1"}, "recent": [{"a": 1}], "note": None}


def test_status_prints_each_value(capsys):
    with scripted_server(Reply(200, STATUS)) as server:
        assert main(["status", "--url", server.url, "--token", "t"]) == 0
    assert server.requests[0].headers["Authorization"] == "Bearer t"
    printed = capsys.readouterr().out
    for row in (
        ("is_trained", "yes"),
        ("model.version", "m1"),
        ("recent", "1 items"),
        ("note", "-"),
    ):
        assert any(all(text in line for text in row) for line in printed.splitlines())


def test_status_prints_the_answer_as_json(capsys):
    with scripted_server(Reply(200, {"is_trained": False})) as server:
        assert main(["status", "--url", server.url, "--json"]) == 0
    assert capsys.readouterr().out == '{\n  "is_trained": false\n}\n'


def test_train_sends_all_logs_and_prints_the_result(tmp_path, capsys):
    path = tmp_path / "access.log"
    path.write_text("".join(LINE.format(number) for number in range(12)) + "not a log\n")
    with scripted_server(Reply(200, {"model_accuracy": 0.99})) as server:
        assert main(["train", str(path), "--url", server.url]) == 0
    [request] = server.requests
    assert request.path == "/train"
    assert [log["endpoint"] for log in request.body["logs"]] == [f"/{n}" for n in range(12)]
    printed = capsys.readouterr()
    assert "Trained on 12 logs" in printed.err
    assert "line 13: no known format reads this line" in printed.err
    assert "99.00%" in printed.out


def test_train_prints_the_error_of_the_service(tmp_path, capsys):
    path = tmp_path / "access.log"
    path.write_text(LINE.format(1))
    with scripted_server(Reply(422, {"detail": "10 logs at least"})) as server:
        assert main(["train", str(path), "--url", server.url]) == 1
    assert "api-anomaly train: " in (printed := capsys.readouterr().err)
    assert "10 logs at least" in printed


def test_an_error_that_quotes_a_log_cannot_control_the_terminal(tmp_path, capsys):
    path = tmp_path / "access.log"
    path.write_text("\x1b]0;title\x07\n")
    assert main(["train", str(path)]) == 1
    assert not {"\x1b", "\x07"} & set(capsys.readouterr().err)
