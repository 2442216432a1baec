"""Progress where there is a terminal and where there is none."""

import io

from api_anomaly.client.progress import shown
from rich.console import Console


def told(terminal, total, every):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    with shown(console, "Detecting", total, every) as progress:
        for done in (1000, 2000):
            progress(done)
    return console.file.getvalue()


def test_without_a_terminal_there_are_plain_lines():
    assert told(False, 2000, 0) == (
        "Detecting: 1,000 of 2,000 logs\nDetecting: 2,000 of 2,000 logs\n"
    )


def test_without_a_known_total_the_count_stands_alone():
    assert told(False, None, 0).splitlines()[0] == "Detecting: 1,000 logs"


def test_lines_do_not_come_faster_than_they_can_be_read():
    assert told(False, 2000, 3600) == ""


def test_on_a_terminal_there_is_a_bar():
    assert "2000/2000" in told(True, 2000, 0)
