"""Progress on standard error: a bar on a terminal, a line every few seconds elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api_anomaly.client.replay import Progress as Told

LINE_SECONDS = 5.0


@contextmanager
def shown(
    console: Console, title: str, total: int | None, every: float = LINE_SECONDS
) -> Iterator[Told]:
    """Gives a function to call with the logs done so far.

    `total` None = unknown; `every`: seconds between two lines where there is no terminal.
    """
    if console.is_terminal:
        with _bar(console, title, total) as told:
            yield told
    else:
        yield _lines(console, title, total, every)


@contextmanager
def _bar(console: Console, title: str, total: int | None) -> Iterator[Told]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)


def _lines(console: Console, title: str, total: int | None, every: float) -> Told:
    last = time.monotonic()

    def told(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every:
            last = now
            of = f" of {total:,}" if total is not None else ""
            console.print(f"{title}: {done:,}{of} logs", highlight=False)

    return told
