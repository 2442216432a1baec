"""Progress on standard error: a bar on a terminal, a line every 5 s elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

#: Called with the number of logs done so far.
ReportProgress = Callable[[int], None]

LINE_INTERVAL_SECONDS = 5.0


@contextmanager
def show_progress(
    console: Console, title: str, total: int | None, interval: float = LINE_INTERVAL_SECONDS
) -> Iterator[ReportProgress]:
    """Gives a function to call with the number of logs done so far.

    `total`: None = unknown. `interval`: seconds between two lines without a terminal.
    """
    if console.is_terminal:
        with _bar(console, title, total) as report:
            yield report
    else:
        yield _lines(console, title, total, interval)


@contextmanager
def _bar(console: Console, title: str, total: int | None) -> Iterator[ReportProgress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)


def _lines(console: Console, title: str, total: int | None, interval: float) -> ReportProgress:
    last = time.monotonic()

    def report(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= interval:
            last = now
            of = f" of {total:,}" if total is not None else ""
            console.print(f"{title}: {done:,}{of} logs", highlight=False)

    return report
