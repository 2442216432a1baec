"""Real web servers that write access logs, and the real log shippers of deploy/shippers."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.deployment.conftest import TOKEN, Process, Spawn, free_port, until
from tests.support.paths import ROOT

SHIPPERS = ROOT / "deploy" / "shippers"
NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    {access_log}
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "ok"; }}
        location /missing {{ return 404; }}
    }}
}}
"""
APACHE = """
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
User nobody
Group nogroup
Listen 127.0.0.1:{port}
ServerName localhost
ServerRoot {folder}
DocumentRoot {folder}
PidFile {folder}/apache.pid
ErrorLog {folder}/apache-errors.log
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-agent}}i\\"" combined
CustomLog {folder}/access.log combined
"""


class Website(NamedTuple):
    """A web server, and the access log that it writes."""

    client: httpx.Client
    log: Path

    def visit(self, paths: list[str], agent: str = "curl/8.5.0") -> None:
        """One GET for each path; every third comes from the user anna."""
        for number, path in enumerate(paths):
            user = None if number % 3 else ("anna", "secret")
            self.client.get(path, auth=user, headers={"User-Agent": agent.encode()})

    def lines(self, path: str) -> list[str]:
        """What the access log holds about paths that begin like this."""
        written = self.log.read_text("utf-8", "surrogateescape").splitlines()
        return [line for line in written if path in line]


Program = Callable[[str], str]


def _is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code < 500
    except httpx.HTTPError:
        return False


@contextmanager
def _website(port: int, folder: Path) -> Iterator[Website]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        until(lambda: _is_up(client), "the web server answers")
        yield Website(client, folder / "access.log")


def _nginx(
    program: Program, spawn: Spawn, folder: Path, access_log: str
) -> AbstractContextManager[Website]:
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, access_log=access_log, port=port))
    spawn(program("nginx"), "-e", "stderr", "-c", configuration)
    return _website(port, folder)


def nginx(program: Program, spawn: Spawn, folder: Path) -> AbstractContextManager[Website]:
    """nginx with its usual access log."""
    return _nginx(program, spawn, folder, f"access_log {folder}/access.log combined;")


def nginx_json(program: Program, spawn: Spawn, folder: Path) -> AbstractContextManager[Website]:
    """nginx with the access log of deploy/shippers/nginx.conf."""
    text = (SHIPPERS / "nginx.conf").read_text().replace("/var/log/nginx", str(folder))
    return _nginx(program, spawn, folder, text)


def apache(program: Program, spawn: Spawn, folder: Path) -> AbstractContextManager[Website]:
    """Apache with its usual access log. It may not read the folder, so its answers are 403."""
    port = free_port()
    configuration = folder / "apache.conf"
    configuration.write_text(APACHE.format(folder=folder, port=port))
    spawn(program("apache2"), "-X", "-f", configuration)
    return _website(port, folder)


WEBSITES = {"nginx": nginx, "nginx JSON": nginx_json, "apache": apache}


class Parts(NamedTuple):
    """Where the shippers are that scripts/shipper_parts installs, and syslog-ng."""

    rsyslog: Path
    filebeat: Path
    otelcol: Path
    fluent_bit: Path
    syslog_ng: str


class Here(NamedTuple):
    """Where one run of a shipper reads, keeps its state and sends."""

    parts: Parts
    log: Path
    state: Path
    url: str

    @property
    def file(self) -> Path:
        return self.state / "shipper.conf"


Command = list[str | Path]
Changes = Callable[[Here], dict[str, str]]


def _nothing(_: Here) -> dict[str, str]:
    return {}


class Shipper(NamedTuple):
    """A shipper: its file in deploy/shippers, where it posts, and how it is checked and run.
    `changes`: what of the file cannot stay as it is on the loopback; pauses become short.
    `is_json`: lines are sent as JSON text. `website`: the web server whose log it sends in the
    tests."""

    file: str
    posts: str
    run: Callable[[Here], Command]
    check: Callable[[Here], Command]
    changes: Changes = _nothing
    is_json: bool = False
    website: str = "nginx"

    def sent(self, line: str) -> bytes:
        """A line as it stands in a body."""
        return (json.dumps(line)[1:-1] if self.is_json else line).encode()

    def configure(self, here: Here) -> dict[str, str]:
        """Writes the configuration for this place; the environment that it needs."""
        text = (SHIPPERS / self.file).read_text()
        usual = {"/var/log/nginx/access.log": str(here.log), "/var/lib/": f"{here.state}/"}
        for old, new in (self.changes(here) | usual).items():
            assert old in text or old in usual, f"{self.file} has no {old}"
            text = text.replace(old, new)
        here.file.write_text(text)
        here.file.chmod(0o600)
        for folder in ("otelcol", "rsyslog", "fluent-bit"):
            (here.state / folder).mkdir(exist_ok=True)
        host, port = here.url.removeprefix("http://").split(":")
        return os.environ | {
            "ANOMALY_URL": here.url,
            "ANOMALY_HOST": host,
            "ANOMALY_PORT": port,
            "AUTH_TOKEN": TOKEN,
            "LD_LIBRARY_PATH": str(here.parts.rsyslog / "usr" / "lib"),
        }

    def is_accepted(self, here: Here) -> str:
        """Nothing when the shipper accepts its configuration, else what it says."""
        environment = self.configure(here)
        command = [str(part) for part in self.check(here)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, cwd=here.state
        )
        return "" if done.returncode == 0 else f"{command}\n{done.stdout}\n{done.stderr}"

    def start(self, here: Here, spawn: Spawn) -> Process:
        """The running shipper."""
        environment = self.configure(here)
        return spawn(*self.run(here), env=environment, cwd=here.state)


def _syslog_ng(here: Here, *more: str) -> Command:
    files = [f"--{name}={here.state}/{name}" for name in ("persist-file", "control", "pidfile")]
    return [here.parts.syslog_ng, f"--cfgfile={here.file}", *files, *more]


def _rsyslog(here: Here, *more: str) -> Command:
    root = here.parts.rsyslog
    modules = next(root.glob("usr/lib/*/rsyslog"))
    pid = here.state / "rsyslog.pid"
    return [root / "usr/sbin/rsyslogd", "-M", modules, "-f", here.file, "-i", pid, *more]


def _filebeat(here: Here, *more: str) -> Command:
    folders = ("--path.data", here.state / "data", "--path.logs", here.state / "logs")
    return [here.parts.filebeat, *more, "-c", here.file, *folders, "--strict.perms=false"]


#: The Collector of the tests is built without the extension that keeps its queue on the disk.
_NO_STORAGE = {
    "    storage: file_storage\n": "",
    ", storage: file_storage": "",
    "  extensions: [file_storage]\n": "",
    "extensions:\n  file_storage: {directory: /var/lib/otelcol, create_directory: true}\n": "",
}

REAL = {
    "syslog-ng": Shipper(
        "syslog-ng.conf",
        "/ingest",
        lambda here: _syslog_ng(here, "--foreground", "--no-caps", "--stderr"),
        lambda here: _syslog_ng(here, "--syntax-only"),
        lambda here: {
            "time-reopen(5)": "time-reopen(1)",
            "disk-buffer(": f'disk-buffer(dir("{here.state}") ',
        },
        website="nginx JSON",
    ),
    "rsyslog": Shipper(
        "rsyslog-omprog.conf",
        "/ingest",
        lambda here: _rsyslog(here, "-n"),
        lambda here: _rsyslog(here, "-N1"),
        lambda here: {"/etc/rsyslog.d": str(SHIPPERS)},
        website="apache",
    ),
    "fluent-bit": Shipper(
        "fluent-bit.conf",
        "/ingest",
        lambda here: [here.parts.fluent_bit, "-c", here.file],
        lambda here: [here.parts.fluent_bit, "--dry-run", "-c", here.file],
        lambda here: {"Tls                       On": "Tls Off"},
        is_json=True,
    ),
    "filebeat": Shipper(
        "filebeat.yml",
        "/elastic/_bulk",
        lambda here: _filebeat(here, "-e"),
        lambda here: _filebeat(here, "test", "config"),
        is_json=True,
        website="apache",
    ),
    "otel-collector": Shipper(
        "otel-collector.yaml",
        "/v1/logs",
        lambda here: [here.parts.otelcol, "--config", here.file],
        lambda here: [here.parts.otelcol, "validate", "--config", here.file],
        lambda here: _NO_STORAGE,
    ),
}


#: Other outputs of Fluent Bit, so that their protocols are spoken by a real sender, too.
OUTPUTS = {
    "es": ("Path /elastic", "HTTP_User any", f"HTTP_Passwd {TOKEN}", "Generate_ID On"),
    "splunk": (f"Splunk_Token {TOKEN}",),
    "loki": ("HTTP_User any", f"HTTP_Passwd {TOKEN}", "Labels job=access_log"),
}
_EVERY_OUTPUT = ("Match *", "Host ${ANOMALY_HOST}", "Port ${ANOMALY_PORT}", "Retry_Limit False")


def with_output(name: str) -> Shipper:
    """Fluent Bit with its usual file but for the output."""
    usual = (SHIPPERS / "fluent-bit.conf").read_text().split("[OUTPUT]\n")[1]
    options = (f"Name {name}", *_EVERY_OUTPUT, *OUTPUTS[name])
    output = "".join(f"    {option}\n" for option in options)
    return REAL["fluent-bit"]._replace(changes=lambda _: {usual: output})
