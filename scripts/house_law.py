#!/usr/bin/env python3
"""The house's law of size: files under 300 lines, functions of at most 45. Tests are free."""

import ast
import sys
from pathlib import Path

FILE_LINES = 300
FUNCTION_LINES = 45
ROOT = Path(__file__).resolve().parent.parent
CODE = (
    "main.py",
    "api_anomaly/**/*.py",
    "benchmarks/**/*.py",
    "scripts/*.py",
)


def breaches(path: Path) -> list[str]:
    """One line for each place in the file where the law is broken."""
    source = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT)
    count = len(source.splitlines())
    found = (
        [f"{name}: {count} lines, fewer than {FILE_LINES} wanted"] if count >= FILE_LINES else []
    )
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                found.append(
                    f"{name}:{node.lineno} {node.name}: {lines} lines, {FUNCTION_LINES} at most"
                )
    return found


def main() -> int:
    """Print every breach; 1 when there is one."""
    paths = sorted({path for pattern in CODE for path in ROOT.glob(pattern)})
    found = [line for path in paths for line in breaches(path)]
    print("\n".join(found) or f"{len(paths)} files within the law")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
