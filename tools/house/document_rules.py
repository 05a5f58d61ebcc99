# SPDX-License-Identifier: Apache-2.0
"""Rules about documents, and about every file. Each takes a Source and yields Findings."""
import re
from pathlib import PurePosixPath

from .source import Finding
from .tables import FILE_BYTES

# What makes a back-quoted word a path of ours: it begins with one of these.
_ROOTS = ("src/", "apps/", "docs/", "tests/", "tools/", "python/", "samples/", "cmake/", "deploy/", ".ci/")
_FILES = re.compile(r"^(?:[A-Z][A-Za-z]+\.(?:md|txt|json)|\.clang-(?:format|tidy)|LICENSE)$")
_FENCE = re.compile(r"^\s*(```|~~~)")


def _prose(source):
    """(number, line) outside fenced blocks."""
    fenced = False
    for number, line in enumerate(source.lines, 1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def _commands(source):
    """(number, line) inside fenced blocks."""
    outside = {number for number, _ in _prose(source)}
    for number, line in enumerate(source.lines, 1):
        if number not in outside and not _FENCE.match(line):
            yield number, line


def _exists(source, path):
    path = path.rstrip("/")
    if any(char in path for char in "*?"):
        return any(source.root.glob(path))
    return (source.root / path).exists()


def _alternatives(path):
    """"tests/{a,b}" stands for both."""
    match = re.search(r"\{([^{}]*,[^{}]*)\}", path)
    if not match:
        return [path]
    return [p for choice in match.group(1).split(",")
            for p in _alternatives(path[:match.start()] + choice.strip() + path[match.end():])]


def dead_paths(source):
    """A path in a document names something that exists."""
    if source.suffix != ".md":
        return
    for number, line in _prose(source):
        for quoted in re.findall(r"`([^`]+)`", line):
            for word in quoted.split():
                word = word.rstrip(".,;:)")
                word = re.sub(r":\d+$", "", word)
                if not (word.startswith(_ROOTS) or _FILES.match(word)) or any(c in word for c in "<>$="):
                    continue
                for path in _alternatives(word):
                    if not _exists(source, path):
                        yield Finding(source.path, number, "dead-path", f"`{path}` does not exist: name what replaced it")
    for number, line in _commands(source):
        for path in re.findall(r"(?:^|[\s(])(?:\./)?((?:tools|samples|docs|tests)/[\w./-]+)", line):
            if not _exists(source, path.rstrip(".")):
                yield Finding(source.path, number, "dead-path", f"the command names {path}, which does not exist")


def dead_mentions(source):
    """A comment that sends the reader to a document sends him to one that exists."""
    if source.suffix not in (".h", ".cc", ".cmake", ".json", ".yaml") and not source.interpreter:
        return
    for number, line in enumerate(source.lines, 1):
        for path in re.findall(r"(?<![\w/.])docs/[\w/.-]+\.md\b", line):
            if not _exists(source, path):
                yield Finding(source.path, number, "dead-path", f"{path} does not exist: write it, or name what replaced it")


def dead_links(source):
    """A link to a file of ours leads somewhere."""
    if source.suffix != ".md":
        return
    for number, line in _prose(source):
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
            path = target.split("#")[0]
            if not path or "://" in path or path.startswith("mailto:"):
                continue
            here = source.root / PurePosixPath(source.path).parent
            if not (here / path).exists():
                yield Finding(source.path, number, "dead-link", f"({target}) leads nowhere from here")


def one_title(source):
    """A document has one title, and it comes first."""
    if source.suffix != ".md":
        return
    titles = [number for number, line in _prose(source) if re.match(r"# \S", line)]
    if len(titles) != 1:
        yield Finding(source.path, titles[1] if titles else 1, "one-title",
                      f"{len(titles)} titles ('# ...'): a document has exactly one")


def big_files(source):
    """Nothing large, nothing generated."""
    if source.size > FILE_BYTES:
        yield Finding(source.path, 1, "big-file",
                      f"{source.size // 1024} KiB, at most {FILE_BYTES // 1024}: make it when it is needed, do not store it")


def line_endings(source):
    """Text ends with one newline and holds neither tabs nor carriage returns where the formatter does not look."""
    if source.suffix not in (".md", ".py", ".json", ".yaml", ".yml", ".cmake") and not source.interpreter:
        return
    if source.text and not source.text.endswith("\n"):
        yield Finding(source.path, len(source.lines), "line-endings", "end the file with a newline")
    for number, line in enumerate(source.lines, 1):
        if line != line.rstrip() or "\t" in line:
            yield Finding(source.path, number, "line-endings", "no tabs, no blanks at the end of a line")


RULES = [dead_paths, dead_mentions, dead_links, one_title, big_files, line_endings]
