"""How long a new user waits for the first anomaly: ``python -m benchmarks.first_anomaly``.

An empty service starts; a shipper sends the nginx combined log of simulated traffic to
POST /ingest, a batch a second; the service trains its first model by itself; then an attacker
comes. Prints the seconds from the start of the process to each of these.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from api_anomaly.simulator.scenario import FAMILIES, Scenario
from api_anomaly.simulator.simulation import simulate
from benchmarks.service import Service

_LIMIT_SECONDS = 600.0
Logs = list[dict[str, Any]]


def combined(log: dict[str, Any], later: timedelta = timedelta(0)) -> str:
    """A log as nginx writes it in its combined format, so much `later`."""
    at = (datetime.fromisoformat(log["timestamp"]) + later).strftime("%d/%b/%Y:%H:%M:%S %z")
    return (
        f'{log["ip_address"]} - {log["user_id"] or "-"} [{at}]'
        f' "{log["method"]} {log["endpoint"]} HTTP/1.1" {log["status_code"]}'
        f' {int(log["response_size"] or 0)} "-" "{log["user_agent"] or "-"}"'
    )


@dataclass
class _Story:
    """The service, the seconds of what has happened since its start, and what was found."""

    service: Service
    begun: float
    happened: dict[str, float] = field(default_factory=dict)
    false_alerts: int = 0
    ordinary: int = 0
    last: str = ""

    def note(self, what: str) -> None:
        """What happens now, the first time."""
        self.happened.setdefault(what, round(time.monotonic() - self.begun, 2))

    def send(self, logs: Logs, later: timedelta = timedelta(0)) -> dict[str, Any]:
        """One batch of the shipper; the response."""
        self.last = logs[-1]["timestamp"]
        body = "\n".join(combined(log, later) for log in logs).encode()
        response = self.service.request("POST", "/ingest?anomalies=true", body)
        if response.status != 200:
            raise RuntimeError(response.body.decode())
        found: dict[str, Any] = response.json()
        return found


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Play it once; the figures."""
    scenario = Scenario(
        days=3,
        training_days=1,
        users=arguments.users,
        attackers=1,
        families=(arguments.family,),
    )
    logs = simulate(scenario).logs()
    ordinary = [log for log in logs if not log["label"]]
    attack = [log for log in logs if log["attack"] == arguments.family]
    attack = [log for log in attack if log["actor"] == attack[0]["actor"]]
    environ = {"FIRST_TRAINING_HOURS": "0", "FIRST_TRAINING_LOGS": str(arguments.logs)}
    service = Service(folder, **environ)
    story = _Story(service, time.monotonic())
    with service:
        story.note("service answers")
        batches = _batches(ordinary, arguments.batch)
        _until_trained(story, batches, arguments)
        _after_training(story, batches, arguments)
        line = _attacked(story, attack, arguments)
    return {
        "seconds": story.happened,
        "attacker's line": line,
        "ordinary logs scored": story.ordinary,
        "of them flagged": story.false_alerts,
    }


def _batches(logs: Logs, size: int) -> Iterator[Logs]:
    for start in range(0, len(logs), size):
        yield logs[start : start + size]
    raise RuntimeError("the simulated traffic is used up: more --users or a longer --pause")


def _until_trained(story: _Story, batches: Iterator[Logs], arguments: argparse.Namespace) -> None:
    sent = 0
    while not story.service.request("GET", "/status").json()["is_trained"]:
        batch = next(batches)
        sent += story.send(batch)["accepted"]
        if sent >= arguments.logs:
            story.note(f"{arguments.logs} logs are in")
        if time.monotonic() - story.begun > _LIMIT_SECONDS:
            raise RuntimeError("no model within ten minutes")
        time.sleep(arguments.pause)
    story.note("first model serves")


def _after_training(story: _Story, batches: Iterator[Logs], arguments: argparse.Namespace) -> None:
    for _ in range(arguments.quiet):
        found = story.send(next(batches))
        story.ordinary += found["scored"]
        story.false_alerts += found["anomaly_count"]
        time.sleep(arguments.pause)
    story.note("attacker begins")


def _attacked(story: _Story, attack: Logs, arguments: argparse.Namespace) -> int:
    """The number of the attacker's first line that is an anomaly; 0: none. Its logs follow the
    ordinary ones in time."""
    begin = datetime.fromisoformat(attack[0]["timestamp"])
    later = datetime.fromisoformat(story.last) - begin
    size = arguments.attack_batch
    for start in range(0, len(attack), size):
        anomalies = story.send(attack[start : start + size], later)["anomalies"]
        if anomalies:
            story.note("first anomaly of the attacker")
            return start + int(anomalies[0]["line"])
        time.sleep(arguments.pause)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Play and print; 1 when the attacker was not found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_anomaly", description=__doc__)
    parser.add_argument("--logs", type=int, default=2_000, help="FIRST_TRAINING_LOGS")
    parser.add_argument("--users", type=int, default=100, help="simulated users")
    parser.add_argument(
        "--family", default="credential_stuffing", choices=FAMILIES, help="of attacks"
    )
    parser.add_argument("--batch", type=int, default=200, help="lines in a batch")
    parser.add_argument("--attack-batch", type=int, default=10, help="the attacker's lines in one")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between batches")
    parser.add_argument("--quiet", type=int, default=5, help="batches before the attacker")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        figures = run(arguments, Path(folder))
    print(json.dumps(figures, indent=2))
    return 0 if figures["attacker's line"] else 1


if __name__ == "__main__":
    sys.exit(main())
