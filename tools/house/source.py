# SPDX-License-Identifier: Apache-2.0
"""The files that the rules look at, read once."""
import functools
import os
import subprocess
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from . import cpp, python_code
from .tables import LAYERS


class Finding(NamedTuple):
    path: str
    line: int
    rule: str
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


class Source:
    """One file of the tree: path relative to the root, with `/`."""

    def __init__(self, root, path):
        self.root = Path(root)
        self.path = path
        self.name = PurePosixPath(path).name
        self.suffix = PurePosixPath(path).suffix

    @functools.cached_property
    def size(self):
        return (self.root / self.path).stat().st_size

    @functools.cached_property
    def text(self):
        return (self.root / self.path).read_text(encoding="utf-8", errors="replace")

    @functools.cached_property
    def lines(self):
        return self.text.split("\n")[:-1] if self.text.endswith("\n") else self.text.split("\n")

    @functools.cached_property
    def code(self):
        """C++ or Python without comments and strings."""
        return python_code.strip(self.text) if self.is_python else cpp.strip(self.text)

    @property
    def is_cpp(self):
        return self.suffix in (".cc", ".h")

    @property
    def is_python(self):
        return self.suffix == ".py" or self.interpreter == "python3"

    @functools.cached_property
    def interpreter(self):
        """"bash" or "python3" for a script without a suffix, else empty."""
        if self.suffix or not self.lines or not self.lines[0].startswith("#!"):
            return ""
        return PurePosixPath(self.lines[0].split()[-1]).name

    @property
    def is_test(self):
        stem = PurePosixPath(self.path).stem
        # A Fake or Sim is for tests only; the rule "libraries" keeps it out of the program.
        return self.path.startswith("tests/") or stem.endswith("_test") or stem.startswith(("test_", "fake_", "sim_"))

    @functools.cached_property
    def folder(self):
        """"store/sqlite" of src/store/sqlite/x.cc, "apps" of apps/dhub/main.cc, "tests" of tests/a/b.cc."""
        parts = self.path.split("/")
        if parts[0] != "src":
            return parts[0] if len(parts) > 1 else ""
        two = "/".join(parts[1:3])
        return two if two in LAYERS else (parts[1] if len(parts) > 2 else "")


def list_files(root):
    """What git knows or would add; every file where there is no git."""
    if (Path(root) / ".git").exists():
        out = subprocess.run(["git", "-C", str(root), "ls-files", "-coz", "--exclude-standard"],
                             check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout
        paths = sorted(set(out.decode().split("\0")) - {""})
    else:
        paths = sorted(os.path.relpath(os.path.join(folder, name), root)
                       for folder, _, names in os.walk(root) for name in names)
    return [path for path in paths if (Path(root) / path).is_file()]
