"""A replay: train on the earlier part of a log file, send the rest as it is, report."""

import json
import re
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from api_anomaly.client.ingestion import Ingestion, IngestOptions, Outcome
from api_anomaly.client.json_report import build_json_report
from api_anomaly.client.lines import Header, LineCount
from api_anomaly.client.progress import show_progress
from api_anomaly.client.report import print_pairs, print_report, printable, training_rows
from api_anomaly.client.service import Service, ServiceError
from api_anomaly.client.source import Source, SourceError, read_lines
from api_anomaly.client.summary import Summary
from api_anomaly.client.training import LineReader, Trainer, Training
from api_anomaly.logs.formats.format import ReadOptions

_RESIDENT = re.compile(r"^process_resident_memory_bytes (\S+)$", re.MULTILINE)


class ReplayOptions(NamedTuple):
    """What to replay, and how."""

    logfile: str  # a path, or - for standard input
    read: ReadOptions = ReadOptions()
    train_share: float | None = 0.5  # of the lines; None = no training
    batch: int = 1000  # lines in one request
    limit: int | None = None  # lines to use
    top: int = 10  # rows in each table
    json_report: Path | None = None


class Consoles(NamedTuple):
    """Standard output for the report, standard error for what happens meanwhile."""

    output: Console
    progress: Console


def replay(options: ReplayOptions, service: Service, consoles: Consoles) -> None:
    """Run a replay and print its report. Raises SourceError and ServiceError."""
    source = _open_source(options.logfile)
    if options.train_share is None:
        _replay(options, source, service, consoles)
        return
    with source.rereadable() as rereadable:
        _replay(options, rereadable, service, consoles)


def train_on_file(
    logfile: str, read: ReadOptions, limit: int | None, service: Service, consoles: Consoles
) -> Training:
    """Train on all logs of a file and print the result. Raises SourceError and ServiceError."""
    progress = consoles.progress
    lines, trainer = LineCount(), Trainer()
    reader = LineReader(read, lines, Header())
    with _open_source(logfile).open() as stream:
        with show_progress(progress, "Reading", None) as report:
            reader.read(islice(read_lines(stream), limit), trainer, report)
    lines.check()
    _print_bad_lines(progress, lines)
    training = _train(trainer, service, progress)
    print_pairs(consoles.output, "Training", training_rows(training))
    return training


def _open_source(logfile: str) -> Source:
    return Source(None if logfile == "-" else Path(logfile))


def _replay(options: ReplayOptions, source: Source, service: Service, consoles: Consoles) -> None:
    progress = consoles.progress
    outcome = _train_and_send(options, source, service, progress)
    _print_bad_lines(progress, outcome.lines)
    for warning in outcome.warnings:
        progress.print("The service warns: ", printable(warning, 300), sep="")
    outcome.threshold = _threshold(service)
    print_report(consoles.output, outcome, _memory_bytes(service))
    if options.json_report:
        report = json.dumps(build_json_report(options.logfile, outcome), indent=2)
        try:
            options.json_report.write_text(report + "\n", encoding="utf-8")
        except OSError as error:
            raise SourceError(f"cannot write {options.json_report}: {error.strerror}") from error


def _train_and_send(
    options: ReplayOptions, source: Source, service: Service, progress: Console
) -> Outcome:
    outcome, header = Outcome(Summary(options.top)), Header()
    how = IngestOptions(options.read.format, options.read.log_format, options.batch)
    total = None if options.train_share is None else _count_lines(source, options.limit)
    with source.open() as stream:
        lines = islice(read_lines(stream), options.limit)
        if options.train_share is not None and total is not None:
            split = int(total * options.train_share)
            total -= split
            trainer = Trainer()
            reader = LineReader(options.read, outcome.lines, header)
            with show_progress(progress, "Reading the training part", split) as report:
                reader.read(islice(lines, split), trainer, report)
            if split:
                outcome.lines.check()
            outcome.training = _train(trainer, service, progress)
        with show_progress(progress, "Sending", total) as report:
            Ingestion(service, how, outcome, header).run(lines, report)
    return outcome


def _count_lines(source: Source, limit: int | None) -> int:
    with source.open() as stream:
        lines = sum(1 for _ in islice(read_lines(stream), limit))
    if not lines:
        raise SourceError("the input is empty")
    return lines


def _train(trainer: Trainer, service: Service, progress: Console) -> Training:
    with progress.status(f"Training on {len(trainer):,} logs ..."):
        training = trainer.train(service)
    progress.print(f"Trained on {training.used:,} logs in {training.seconds:.1f} s.")
    if training.used < training.offered:
        progress.print(
            f"{training.offered:,} logs were offered;"
            f" the most recent {training.used:,} that fit were used."
        )
    return training


def _print_bad_lines(progress: Console, lines: LineCount) -> None:
    """Print the count and the first few lines; nothing for a count of 0."""
    if lines.bad:
        progress.print(f"{lines.bad:,} lines are no logs and were left out. The first:")
        for line in lines.bad_lines:
            progress.print(f"  line {line.number:,}: ", printable(line.reason, 160), sep="")


def _threshold(service: Service) -> float | None:
    """The threshold of the served model; None where the token may not read it."""
    try:
        threshold = service.get("/status").body["threshold"]
    except (ServiceError, KeyError, TypeError):
        return None
    return float(threshold) if isinstance(threshold, (int, float)) else None


def _memory_bytes(service: Service) -> float | None:
    """Resident memory of the service; None where its metrics do not have it."""
    try:
        match = _RESIDENT.search(service.get("/metrics").text)
    except ServiceError:
        return None
    return float(match.group(1)) if match else None
