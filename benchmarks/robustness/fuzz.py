"""Schemathesis against the OpenAPI document, and Atheris against each function that reads bytes."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from benchmarks.service import ROOT, TOKEN, Service
from api_anomaly.simulator.scenario import preset
from api_anomaly.simulator.simulation import simulate

_LOCK = ROOT / "requirements-fuzz.txt"
_TOOLS = ROOT / ".venv" / "fuzz"
#: Endpoints whose bodies are not JSON of ours: the schema cannot say what they take. The property
#: tests of tests/logs and tests/http send them any bytes.
_FOREIGN = "^/(ingest|elastic|services|loki|v1|firehose|.well-known)"
_READERS = ("compressed", "json", "log", "headers", "manifest", "snapshot", "tokens")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--examples", type=int, default=40, help="for each operation and kind of test (default 40)"
    )
    parser.add_argument(
        "--seconds", type=int, default=15, help="of Atheris for each reader (default 15)"
    )


def run(options: argparse.Namespace) -> int:
    """Fuzz; 1 if anything was found."""
    tools = _tools()
    return _fuzz_api(tools, options.examples) | _fuzz_readers(tools, options.seconds)


def _tools() -> Path:
    """The folder of the fuzzers' programs, installed from the lock file if necessary."""
    stamp = _TOOLS / "installed"
    if not stamp.exists() or stamp.read_bytes() != _LOCK.read_bytes():
        venv.create(_TOOLS, clear=True, with_pip=True)
        install = ["-m", "pip", "install", "-qq", "--no-deps", "--require-hashes", "-r", str(_LOCK)]
        subprocess.run([str(_TOOLS / "bin" / "python"), *install], check=True)
        stamp.write_bytes(_LOCK.read_bytes())
    return _TOOLS / "bin"


def _fuzz_api(tools: Path, examples: int) -> int:
    settings = {
        "FOREST_TREES": "5",
        "MEMORY_ENTITIES": "2000",
        "AUTH_FAILURES_PER_MINUTE": "1000000",  # the fuzzer sends wrong tokens on purpose
        "MAX_TRAINING_LOGS": "2000",
    }
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), **settings) as service:
        logs = list(simulate(preset("day", seed=1)).logs(labels=False))[:300]
        service.post("/train", {"logs": logs})
        command = [
            *(str(tools / "schemathesis"), "run", f"http://127.0.0.1:{service.port}/openapi.json"),
            *("--header", f"Authorization: Bearer {TOKEN}", "--checks", "all"),
            # It would omit a header that the option above adds again.
            *("--exclude-checks", "missing_required_header"),
            *("--exclude-path-regex", _FOREIGN),
            *("--max-examples", str(examples), "--phases", "examples,coverage,fuzzing,stateful"),
            *("--continue-on-failure", "--generation-deterministic", "--request-timeout", "60"),
        ]
        hooks = {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(_fuzz_folder())}
        done = subprocess.run(command, cwd=folder, env={**os.environ, **hooks})
        metrics = service.metrics()
    server_errors = {
        name: n for name, n in metrics.items() if 'status="5' in name and "_total" in name
    }
    print(f"responses 5xx counted by the service: {server_errors or 'none'}")
    return int(bool(done.returncode or server_errors))


def _fuzz_readers(tools: Path, seconds: int) -> int:
    failed = 0
    inherited = os.pathsep.join(
        [str(ROOT), *(path for path in sys.path if "site-packages" in path)]
    )
    for reader in _READERS if seconds else ():
        with tempfile.TemporaryDirectory() as folder:
            command = [
                *(str(tools / "python"), str(_fuzz_folder() / "atheris_bytes.py"), reader),
                *(f"-max_total_time={seconds}", "-max_len=8192", "-timeout=10", "-seed=1"),
                *("-rss_limit_mb=2048", folder),
            ]
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": inherited},
                capture_output=True,
                text=True,
            )
        runs = re.search(r"Done (\d+) runs", done.stderr)
        print(
            f"  {reader:10s} {int(runs[1]) if runs else 0:10,d} inputs, exit code {done.returncode}"
        )
        if done.returncode:
            failed = 1
            print(done.stderr[-3_000:])
    return failed


def _fuzz_folder() -> Path:
    return ROOT / "tests" / "fuzz"
