"""Where the tests find the project's files and the real logs beside the project."""

from pathlib import Path

#: The project's folder.
ROOT = Path(__file__).resolve().parents[2]
#: Real access logs. Tests that need them are skipped where the folder is absent.
DATA = ROOT.parent / "shared" / "data"
