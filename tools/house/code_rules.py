# SPDX-License-Identifier: Apache-2.0
"""Rules about source files. Each takes a Source and yields Findings."""
import ast
import os
import re

from . import cpp
from .source import Finding
from .tables import (ADAPTERS, ASSEMBLY, BANNED_CPP, BANNED_PYTHON, CORE, EMPTY_NAME_PARTS, FILE_LINES, FUNCTION_LINES,
                     IMPURE_HEADERS, LAYERS, LIBRARIES, MAIN_LINES, POSIX_HEADERS, PURE, SYSTEM_HEADERS,
                     TEST_FILE_LINES, TEST_LAYERS, TEST_LIBRARIES)

_INCLUDE = re.compile(r'\s*#\s*include\s*(["<])([^">]+)[">]')


def includes(source):
    """(line, quoted, header) of every #include that is not inside a comment."""
    code = source.code.split("\n")
    for number, line in enumerate(source.lines, 1):
        match = _INCLUDE.match(line)
        if match and code[number - 1].lstrip().startswith("#"):
            yield number, match.group(1) == '"', match.group(2)


def _folder_of_header(header):
    two = "/".join(header.split("/")[:2])
    return two if two in LAYERS else header.split("/")[0]


def layering(source):
    """Who includes whom, by the table; an upward or sideways include is an error."""
    here = source.folder
    if not source.is_cpp or here in ASSEMBLY or here == "tests":
        return
    if here not in LAYERS:
        yield Finding(source.path, 1, "layering", f"folder '{here}' is not in the layering table: place it in tools/house/tables.py")
        return
    may = LAYERS[here] | (TEST_LAYERS.get(here, set()) if _for_tests(source) else set())
    for line, quoted, header in includes(source):
        there = _folder_of_header(header)
        if not quoted or there == here or (source.is_test and there == "tests"):
            continue
        if "/" not in header:
            yield Finding(source.path, line, "layering", f'write "{here}/{header}": includes are relative to src/')
        elif there not in may:
            allowed = ", ".join(sorted(may)) or "nothing of ours"
            yield Finding(source.path, line, "layering",
                          f"{here} may not include {there} (only {allowed}): go through an interface in src/ports, "
                          "or move the code")


def _system_header(header):
    return header.startswith(SYSTEM_HEADERS) or header in POSIX_HEADERS


def libraries(source):
    """Each library is seen by the folders that the table names, and the core sees no world."""
    if not source.is_cpp:
        return
    here = source.folder
    for line, quoted, header in includes(source):
        if quoted:
            if re.search(r"(^|/)(fake|sim)_\w+\.h$", header) and not _for_tests(source):
                yield Finding(source.path, line, "libraries", f'"{header}" is for tests only')
            continue
        if here in PURE and header in IMPURE_HEADERS and not source.is_test:
            yield Finding(source.path, line, "libraries",
                          f"{here} is pure: <{header}> belongs into base, service or an adapter")
        if _system_header(header):
            if here in CORE - {"base"} and not source.is_test:
                yield Finding(source.path, line, "libraries", f"{here} does no I/O: <{header}> belongs into an adapter")
        elif header.startswith(TEST_LIBRARIES):
            if not _for_tests(source):
                yield Finding(source.path, line, "libraries",
                              f"<{header}> belongs into a *_test.cc, tests/, or a header that only those include")
        elif "/" in header or header.endswith((".h", ".hpp")):
            yield from _third_party(source, line, header)


def _for_tests(source):
    """A test, or a header that nothing but tests includes."""
    if source.is_test:
        return True
    if source.suffix != ".h":
        return False
    needle = f'#include "{source.path.removeprefix("src/")}"'
    includers = [p for kind in ("*.cc", "*.h") for p in (source.root / "src").rglob(kind)
                 if needle in p.read_text(encoding="utf-8", errors="replace")]
    return all(p.stem.endswith("_test") for p in includers)


def _third_party(source, line, header):
    prefix = next((p for p in LIBRARIES if header.startswith(p)), None)
    if prefix is None:
        yield Finding(source.path, line, "libraries",
                      f"<{header}> is of no library in the table: add it to tools/house/tables.py, docs/dependencies.md "
                      "and tools/setup, or do without")
    elif LIBRARIES[prefix] is not None and source.folder not in LIBRARIES[prefix] and source.folder != "tests":
        where = ", ".join(sorted(LIBRARIES[prefix]))
        yield Finding(source.path, line, "libraries", f"<{header}> may be seen by {where} only: hide it behind a type of ours")


def links(source):
    """CMake links what the layering table allows."""
    if source.path != "CMakeLists.txt":
        return
    calls = re.compile(r"dhub_library\((\w+)\s+src/([^\s)]+)([^)]*)\)")
    folders = {match.group(1): match.group(2) for match in calls.finditer(source.text)}
    for match in calls.finditer(source.text):
        folder, line = match.group(2), source.text.count("\n", 0, match.start()) + 1
        program, _, tests = match.group(3).partition("TEST_LINKS")
        wanted = [(name, LAYERS.get(folder)) for name in re.findall(r"\bdhub_(\w+)", program)]
        wanted += [(name, LAYERS.get(folder, set()) | TEST_LAYERS.get(folder, set()))
                   for name in re.findall(r"\bdhub_(\w+)", tests)]
        for name, may in wanted:
            there = folders.get(name)
            if folder in LAYERS and there and there not in may:
                yield Finding(source.path, line, "links", f"{folder} may not link {there}: see the layering table")


def function_length(source):
    """No function of more than FUNCTION_LINES lines."""
    advice = f"over {FUNCTION_LINES} lines: split it by idea, decisions above, steps below"
    if source.is_cpp:
        try:
            for function in cpp.functions(source.code):
                if function.lines > FUNCTION_LINES:
                    yield Finding(source.path, function.line, "function-length",
                                  f"{function.name} has {function.lines} lines, {advice}")
        except cpp.Unbalanced:
            yield Finding(source.path, 1, "function-length", "the braces do not match: check #if branches and macros")
    elif source.is_python:
        yield from _python_length(source, advice)


def _python_length(source, advice):
    try:
        tree = ast.parse(source.text)
    except SyntaxError as error:
        yield Finding(source.path, error.lineno or 1, "python", f"does not compile: {error.msg}")
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield Finding(source.path, node.lineno, "function-length", f"{node.name} has {lines} lines, {advice}")


def file_length(source):
    """One idea a file, and it fits in a few screens."""
    if not (source.is_cpp or source.is_python or source.suffix == ".cmake" or source.interpreter):
        return
    limit = TEST_FILE_LINES if source.is_test else FILE_LINES
    if source.folder == "apps" and source.name == "main.cc":
        limit = MAIN_LINES
    if len(source.lines) > limit:
        yield Finding(source.path, limit, "file-length", f"{len(source.lines)} lines, at most {limit}: split the file by idea")


def banned(source):
    """Calls that have a better replacement."""
    if source.is_cpp:
        table = BANNED_CPP
    elif source.is_python:
        table = BANNED_PYTHON
    else:
        return
    code = source.code
    places = {source.folder}
    if source.is_test:
        places |= {"tests", "adapter tests"} if source.folder in ADAPTERS else {"tests"}
    for name, pattern, allowed, instead in table:
        if places & allowed:
            continue
        for match in re.finditer(pattern, code):
            yield Finding(source.path, code.count("\n", 0, match.start()) + 1, "banned",
                          f"{name}: '{match.group(0).strip()}' is not used here; {instead}")


def disabled_tests(source):
    """A test that does not run is a claim that nobody checks."""
    if not source.is_test or not (source.is_cpp or source.is_python):
        return
    pattern = r"\bDISABLED_\w+" if source.is_cpp else r"pytest\.mark\.(skip|xfail)\b"
    code = source.code
    for match in re.finditer(pattern, code):
        yield Finding(source.path, code.count("\n", 0, match.start()) + 1, "disabled-test",
                      f"'{match.group(0)}': mend the test or delete it")


def spdx(source):
    """The licence in one line, first of all."""
    if not (source.is_cpp or source.is_python or source.interpreter or source.suffix in (".cmake", ".sh")
            or source.name == "CMakeLists.txt"):
        return
    want = "SPDX-License-Identifier: Apache-2.0"
    mark = "//" if source.is_cpp else "#"
    first = [line for line in source.lines[:2] if not line.startswith("#!")][:1]
    if first != [f"{mark} {want}"]:
        yield Finding(source.path, 1, "spdx", f"begin with '{mark} {want}'")


def pragma_once(source):
    """Headers guard themselves with the one line."""
    if source.suffix == ".h" and source.lines[1:2] != ["#pragma once"]:
        yield Finding(source.path, 2, "pragma-once", "write '#pragma once' on the second line")


def own_header_first(source):
    """A .cc includes its own header first, which proves that the header stands alone."""
    if source.suffix != ".cc":
        return
    stem = re.sub(r"_test$", "", source.path[:-len(".cc")])
    if not os.path.exists(source.root / f"{stem}.h"):
        return
    own = re.sub(r"^src/", "", stem) + ".h"
    first = next(includes(source), None)
    if first is None or first[2] != own:
        yield Finding(source.path, first[0] if first else 1, "own-header", f'include "{own}" first')


def names(source):
    """Names say what a thing is."""
    part = "|".join(EMPTY_NAME_PARTS)
    advice = "says nothing: name what it keeps, decides or does"
    stem_words = source.name.split(".")[0].lower().split("_")
    if (source.is_cpp or source.is_python) and {p.lower() for p in EMPTY_NAME_PARTS} & set(stem_words):
        yield Finding(source.path, 1, "names", f"file name '{source.name}' {advice}")
    if not (source.is_cpp or source.is_python):
        return
    code = source.code
    if source.is_cpp:
        declared = re.compile(r"^[^\n#]*\b(?:enum class|class|struct|enum|using)\s+(?:\[\[\w+\]\]\s*)?(\w+)", re.MULTILINE)
    else:
        declared = re.compile(r"^\s*class\s+(\w+)", re.MULTILINE)
    for match in declared.finditer(code):
        if re.search(rf"({part})(?![a-z])", match.group(1)):
            yield Finding(source.path, code.count("\n", 0, match.start(1)) + 1, "names", f"'{match.group(1)}' {advice}")


def unfinished(source):
    """What must not land, does not."""
    if source.suffix in (".json", ".tla", ".cfg"):
        return
    marks = re.compile(r"\b(" + "FIX" + r"ME|XX" + r"X)\b")
    for number, line in enumerate(source.lines, 1):
        match = marks.search(line)
        if match:
            yield Finding(source.path, number, "unfinished", f"'{match.group(1)}' must not land: do it, or say plainly what is pending")


RULES = [layering, libraries, links, function_length, file_length, banned, disabled_tests, spdx, pragma_once,
         own_header_first, names, unfinished]
