"""A replay: train on the earlier part of a log file, detect on the rest, report."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from api_anomaly.client.detection import Detection, Outcome
from api_anomaly.client.json_report import build_json_report
from api_anomaly.client.progress import ReportProgress, show_progress
from api_anomaly.client.input_formats import INPUT_FORMATS
from api_anomaly.client.reader import BadLine, Entry, Reader
from api_anomaly.client.reader import detect_input_format
from api_anomaly.client.report import print_pairs, print_report, printable, training_rows
from api_anomaly.client.service import Service, ServiceError
from api_anomaly.client.source import Source, SourceError
from api_anomaly.client.training import Trainer, Training

_RESIDENT = re.compile(r"^process_resident_memory_bytes (\S+)$", re.MULTILINE)


class ReplayOptions(NamedTuple):
    """What to replay, and how."""

    logfile: str  # a path, or - for standard input
    format: str = "auto"  # a name of INPUT_FORMATS; auto = detect it
    train_share: float | None = 0.5  # of the lines; None = no training
    batch: int = 1000  # logs in one request
    limit: int | None = None  # lines to use
    threshold: float | None = None  # None = the model's own
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
    logfile: str, format_name: str, limit: int | None, service: Service, consoles: Consoles
) -> Training:
    """Train on all logs of a file and print the result. Raises SourceError and ServiceError."""
    progress = consoles.progress
    reader = _open_reader(_open_source(logfile), format_name, limit, progress)
    trainer = Trainer()
    with show_progress(progress, "Reading", None) as report:
        for entry in reader.entries():
            trainer.add(entry.log)
            report(reader.read)
    _print_bad_lines(progress, "lines are no logs and were left out", reader.bad, reader.bad_lines)
    training = _train(trainer, service, progress)
    print_pairs(consoles.output, "Training", training_rows(training))
    return training


def _open_source(logfile: str) -> Source:
    return Source(None if logfile == "-" else Path(logfile))


def _open_reader(source: Source, format_name: str, limit: int | None, progress: Console) -> Reader:
    is_detected = format_name == "auto"
    name = detect_input_format(source) if is_detected else format_name
    progress.print(f"Format: {INPUT_FORMATS[name].title}" + (" (detected)" if is_detected else ""))
    return Reader(source, name, limit)


def _replay(options: ReplayOptions, source: Source, service: Service, consoles: Consoles) -> None:
    progress = consoles.progress
    reader = _open_reader(source, options.format, options.limit, progress)
    outcome = _train_and_detect(options, reader, service, progress)
    _print_bad_lines(progress, "lines are no logs and were left out", reader.bad, reader.bad_lines)
    _print_bad_lines(
        progress, "logs were refused by the service", outcome.refused, outcome.refused_lines
    )
    print_report(consoles.output, outcome, _memory_bytes(service))
    if options.json_report:
        report = json.dumps(build_json_report(options.logfile, reader, outcome), indent=2)
        try:
            options.json_report.write_text(report + "\n", encoding="utf-8")
        except OSError as error:
            raise SourceError(f"cannot write {options.json_report}: {error.strerror}") from error


def _train_and_detect(
    options: ReplayOptions, reader: Reader, service: Service, progress: Console
) -> Outcome:
    entries = reader.entries()
    detection = Detection(service, options.batch, options.threshold, options.top)
    total = None
    if options.train_share is not None:
        records = reader.count_records()
        split = int(records * options.train_share)
        total = records - split
        trainer = Trainer()
        with show_progress(progress, "Reading the training part", split) as report:
            entries = _collect(trainer, reader, entries, split, report)
        detection.outcome.training = _train(trainer, service, progress)
    with show_progress(progress, "Detecting", total) as report:
        return detection.run(entries, report)


def _collect(
    trainer: Trainer, reader: Reader, entries: Iterator[Entry], records: int, report: ReportProgress
) -> Iterator[Entry]:
    """Give the logs of the first `records` lines to the trainer; returns the entries after them."""
    for entry in entries:
        if reader.read > records:
            return chain([entry], entries)
        trainer.add(entry.log)
        report(reader.read)
    return entries


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


def _print_bad_lines(progress: Console, what: str, count: int, lines: list[BadLine]) -> None:
    """Print the count and the first few lines; nothing for a count of 0."""
    if count:
        progress.print(f"{count:,} {what}. The first:")
        for line in lines:
            progress.print(f"  line {line.number:,}: ", printable(line.reason, 160), sep="")


def _memory_bytes(service: Service) -> float | None:
    """Resident memory of the service; None where its metrics do not have it."""
    try:
        match = _RESIDENT.search(service.get("/metrics").text)
    except ServiceError:
        return None
    return float(match.group(1)) if match else None
