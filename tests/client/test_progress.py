"""Progress with and without a terminal."""

import io

from api_anomaly.client.progress import show_progress
from rich.console import Console


def print_progress(terminal, total, interval):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    with show_progress(console, "Detecting", total, interval) as report:
        for done in (1000, 2000):
            report(done)
    return console.file.getvalue()


def test_progress_without_a_terminal_is_lines():
    assert print_progress(False, 2000, 0) == (
        "Detecting: 1,000 of 2,000 logs\nDetecting: 2,000 of 2,000 logs\n"
    )


def test_progress_without_a_total_is_the_count():
    assert print_progress(False, None, 0).splitlines()[0] == "Detecting: 1,000 logs"


def test_progress_lines_keep_their_interval():
    assert print_progress(False, 2000, 3600) == ""


def test_progress_on_a_terminal_is_a_bar():
    assert "2000/2000" in print_progress(True, 2000, 0)
