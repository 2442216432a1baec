#!/usr/bin/env python3
"""Finds files and functions that are too long to read in one go.

About 300 lines a file and 45 a function are the aim; the check fails only far beyond that. Tests
are not checked.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
ROOT = Path(__file__).resolve().parent.parent
PATTERNS = ("main.py", "api_anomaly/**/*.py", "benchmarks/**/*.py", "scripts/*.py")


def find_too_long(path: Path) -> Iterator[str]:
    """One message for the file, and one for each function, that is too long."""
    source = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT)
    lines = len(source.splitlines())
    if lines > MAX_FILE_LINES:
        yield f"{name}: {lines} lines, at most {MAX_FILE_LINES}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                function = f"{name}:{node.lineno} {node.name}"
                yield f"{function}: {lines} lines, at most {MAX_FUNCTION_LINES}"


def main() -> int:
    """Print what is too long; 1 when there is something."""
    paths = sorted({path for pattern in PATTERNS for path in ROOT.glob(pattern)})
    messages = [message for path in paths for message in find_too_long(path)]
    print("\n".join(messages) or f"{len(paths)} files: none too long")
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
