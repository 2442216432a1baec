"""The recipes of CONTRIBUTING.md as edits, and a scratch copy of the project to apply them to.

A recipe is a section with fenced blocks. The first line of a block names the file: `# file: PATH`
in a block of the file's language makes a new file of the rest; `file: PATH` in a `diff` block adds
its `+` lines and removes its `-` lines where its other lines are, exactly once in the file.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT

_SECTION = re.compile(r"^### (.+?)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```(\w+)\n(?:# )?file: (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Edit(NamedTuple):
    """One change of one file: `before` is replaced by `after`; an empty `before` makes the file."""

    path: str
    before: str
    after: str

    def apply(self, folder: Path) -> None:
        """Change the file below `folder`. AssertionError where `before` is not there once."""
        file = folder / self.path
        if not self.before:
            assert not file.exists(), f"{self.path} exists already"
            file.write_text(self.after)
            return
        text = file.read_text()
        assert text.count(self.before) == 1, f"{self.path} holds this not once:\n{self.before}"
        file.write_text(text.replace(self.before, self.after))


def recipes() -> dict[str, list[Edit]]:
    """The edits of each recipe, by its title."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return {
        title: [_edit(*block) for block in _BLOCK.findall(body)]
        for title, body in _SECTION.findall(text)
        if _BLOCK.search(body)
    }


def _edit(language: str, path: str, body: str) -> Edit:
    if language != "diff":
        return Edit(path, "", body)
    lines = body.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if not line.startswith("+"))
    after = "".join(line[1:] for line in lines if not line.startswith("-"))
    return Edit(path, before, after)


def scratch_copy(folder: Path) -> Path:
    """A copy of what git tracks, and of what is new and not ignored, in `folder`."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder
