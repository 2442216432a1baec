"""The command `replay`: arguments, order of events, exit codes (0 done, 1 failed, 2 misused)."""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from api_anomaly.client.service import Service, ServiceFailed
from api_anomaly.logs.formats.registry import FORMATS
from api_anomaly.client.progress import shown
from api_anomaly.client.reading import ParseError, Reader, counted, guessed
from api_anomaly.client.replay import Detection, Outcome, collect
from api_anomaly.client.source import Source, SourceRefused
from api_anomaly.client.report import print_report, safe
from api_anomaly.client.training import Trainer

URL = "http://127.0.0.1:8000"
WIDTH_WITHOUT_TERMINAL = 132
_RESIDENT = re.compile(r"^process_resident_memory_bytes (\S+)$", re.MULTILINE)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives the exit code."""
    options = parser().parse_args(arguments)
    console, progress = consoles()
    try:
        service = Service(options.url, options.token or token_of_environment(), options.timeout)
        try:
            replay(options, service, console, progress)
        finally:
            service.close()
    except (SourceRefused, ServiceFailed) as failure:
        progress.print("replay: ", safe(failure, 2_000), sep="", style="bold red", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        progress.print("replay: stopped.")
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """All arguments of the command."""
    words = argparse.ArgumentParser(
        prog="replay",
        description="Train the service on the earlier part of an access log, detect on the rest.",
    )
    words.add_argument("logfile", help="the log file, plain or gzip; - reads standard input")
    words.add_argument("--url", default=URL, help="the service (default %(default)s)")
    words.add_argument("--token", help="the bearer token (default: the environment's AUTH_TOKEN)")
    words.add_argument(
        "--format", choices=["auto", *FORMATS], default="auto", help="default: guessed"
    )
    words.add_argument(
        "--train-share",
        type=_share,
        default=0.5,
        help="share of the lines to train on (default 0.5)",
    )
    words.add_argument(
        "--no-train", action="store_true", help="detect on all lines with the model that is served"
    )
    words.add_argument(
        "--batch", type=_count, default=1000, help="logs in one request (default 1000)"
    )
    words.add_argument("--limit", type=_count, help="use only the first LIMIT lines")
    words.add_argument(
        "--threshold", type=float, help="flag scores below this (default: the model's own)"
    )
    words.add_argument("--top", type=_count, default=10, help="rows in each table (default 10)")
    words.add_argument("--json", type=Path, metavar="REPORT", help="also write the report as JSON")
    words.add_argument(
        "--timeout", type=float, default=900.0, help="seconds to wait for one answer (default 900)"
    )
    return words


def consoles() -> tuple[Console, Console]:
    """Standard output for the report, standard error for what happens meanwhile."""
    wide = None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(width=wide, highlight=False), Console(
        stderr=True, highlight=False, soft_wrap=True
    )


def replay(
    options: argparse.Namespace, service: Service, console: Console, progress: Console
) -> None:
    """The whole command, once its arguments are known."""
    source = Source(None if options.logfile == "-" else Path(options.logfile))
    if options.no_train:
        _replay(options, service, source, console, progress)
        return
    with source.rereadable() as again:
        _replay(options, service, again, console, progress)


def _replay(
    options: argparse.Namespace,
    service: Service,
    source: Source,
    console: Console,
    progress: Console,
) -> None:
    name = guessed(source) if options.format == "auto" else options.format
    progress.print(
        f"Format: {FORMATS[name].title}" + (" (guessed)" if options.format == "auto" else "")
    )
    reader = Reader(source, name, options.limit)
    outcome = _train_and_detect(options, service, source, reader, progress)
    _print_bad(progress, "lines were no logs and were left out", reader.bad, reader.complaints)
    _print_bad(progress, "logs were refused by the service", outcome.refused, outcome.complaints)
    print_report(console, outcome, memory_of(service))
    if options.json:
        report = json.dumps(as_json(options.logfile, reader, outcome), indent=2)
        try:
            options.json.write_text(report + "\n", encoding="utf-8")
        except OSError as error:
            raise SourceRefused(f"cannot write {options.json}: {error.strerror}") from error


def _train_and_detect(
    options: argparse.Namespace, service: Service, source: Source, reader: Reader, progress: Console
) -> Outcome:
    entries = reader.entries()
    detection = Detection(service, options.batch, options.threshold, options.top)
    total = None
    if not options.no_train:
        units = counted(source, reader.format, options.limit)
        split = int(units * options.train_share)
        total = units - split
        trainer = Trainer()
        with shown(progress, "Reading the training part", split) as told:
            entries = collect(trainer, reader, entries, split, told)
        _train(trainer, service, options.timeout, detection.outcome, progress)
    with shown(progress, "Detecting", total) as told:
        return detection.run(entries, told)


def _train(
    trainer: Trainer, service: Service, timeout: float, outcome: Outcome, progress: Console
) -> None:
    started = time.perf_counter()
    with progress.status(f"Training on {len(trainer):,} logs ..."):
        training = trainer.train(service, timeout)
    outcome.training, outcome.train_seconds = training, time.perf_counter() - started
    progress.print(f"Trained on {training.used:,} logs in {outcome.train_seconds:.1f} s.")
    if training.used < training.offered:
        progress.print(
            f"The training part has {training.offered:,} logs;"
            f" the most recent {training.used:,} that fit were used."
        )


def _print_bad(progress: Console, what: str, count: int, complaints: list[ParseError]) -> None:
    if count:
        progress.print(f"{count:,} {what}. The first:")
        for complaint in complaints:
            progress.print(f"  line {complaint.number:,}: ", safe(complaint.reason, 160), sep="")


def memory_of(service: Service) -> float | None:
    """Resident bytes of the service, where its metrics say so."""
    try:
        found = _RESIDENT.search(service.get("/metrics").text)
    except ServiceFailed:
        return None
    return float(found.group(1)) if found else None


def as_json(logfile: str, reader: Reader, outcome: Outcome) -> dict[str, Any]:
    """The report for programs."""
    tally, training = outcome.tally, outcome.training
    return {
        "source": logfile,
        "format": reader.format,
        "lines": reader.read,
        "bad_lines": reader.bad,
        "refused_logs": outcome.refused,
        "model_version": outcome.model_version,
        "threshold": outcome.threshold,
        "training": training
        and {
            "offered": training.offered,
            "used": training.used,
            "seconds": outcome.train_seconds,
            **training.answer,
        },
        "logs": tally.logs,
        "anomalies": tally.anomalies,
        "severities": dict(tally.severities),
        "seconds": outcome.detect_seconds,
        "users_or_addresses": len(tally.seen),
        "groups": [
            {
                "name": group.name,
                "flagged": group.flagged,
                "logs": tally.seen[group.name],
                "severity": group.severity,
                "risk": group.risk,
                "first": group.first,
                "last": group.last,
                "reasons": dict(group.reasons.most_common()),
            }
            for group in tally.top_groups()
        ],
        "worst_logs": tally.top_logs(),
        "labels": outcome.label_report.figures() if outcome.label_report.labelled else None,
        "attacks": [family._asdict() for family in outcome.label_report.families()],
    }


def token_of_environment() -> str | None:
    """The service takes several tokens in AUTH_TOKEN, separated by commas; any of them will do."""
    return os.environ.get("AUTH_TOKEN", "").split(",")[0].strip() or None


def _share(words: str) -> float:
    share = float(words)
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError("must lie between 0 and 1")
    return share


def _count(words: str) -> int:
    count = int(words)
    if count < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return count
