# SPDX-License-Identifier: Apache-2.0
"""What documents list is what the code has: error codes, exit codes, metrics, rules of the protocol."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def read(path):
    return (ROOT / path).read_text()


def sources(folder):
    return "\n".join(p.read_text() for p in sorted((ROOT / folder).rglob("*.cc")) if not p.name.endswith("_test.cc"))


def column(document, pattern):
    """What is back-quoted in the first column of a document's tables."""
    first = re.findall(r"^\| ([^|]*) \|", document, re.MULTILINE)
    return {word for cell in first for word in re.findall(r"`([^`]+)`", cell) if re.fullmatch(pattern, word)}


def test_every_problem_code_is_listed():
    table = re.findall(r"\{ErrorCode::\w+, \d+, \"([a-z_]+)\"", read("src/api/problem.cc"))
    made = re.findall(r"make_problem\(\s*\d+,\s*\"([a-z_]+)\"", sources("src/api"))
    assert len(table) > 10 and len(made) > 5
    codes = read("docs/specs/problems.md").split("## Codes")[1].split("\n## ")[0]
    assert column(codes, r"[a-z_]+") == set(table) | set(made)


def test_every_exit_code_is_listed():
    codes = re.findall(r"^\s+\w+ = (\d+),", read("src/cli/exit_code.h"), re.MULTILINE)
    section = read("docs/guides/operating.md").split("## Exit codes")[1].split("##")[0]
    assert re.findall(r"^\| (\d+) \|", section, re.MULTILINE) == codes


def test_every_metric_is_listed():
    made = set(re.findall(r"\"(dhub_[a-z_]+)\",\s*\"[A-Z]", sources("src")))
    assert len(made) > 10
    assert column(read("docs/guides/operating.md"), r"dhub_[a-z_]+") == made


def test_every_route_is_listed():
    routes = re.findall(r"Route\{\"\w+\",\s+Method::(\w+),\s+\"([^\"]+)\"", read("src/api/route_table.cc"))
    assert len(routes) > 20
    wanted = {f"{method.upper()} {path.replace('/api/v1', '', 1)}" for method, path in routes}
    tables = read("docs/specs/api.md").split("## All calls")[1]
    assert column(tables, r"[A-Z]+ /.*") == wanted


def test_every_option_and_key_of_a_step_is_listed():
    page = read("docs/specs/pipeline.md")
    for path in ("src/pipeline/options.cc", "src/pipeline/steps.cc"):
        lists = re.findall(r"(?:\.|->)only\(\"[^\"]+\",\s*\{([^}]*)\}", read(path))
        assert lists, path
        for key in re.findall(r"\"(\w+)\"", " ".join(lists)):
            assert f"`{key}`" in page or f'"{key}"' in page, key


def test_every_test_that_a_guarantee_names_exists():
    table = read("ARCHITECTURE.md").split("## What is guaranteed")[1].split("\n## ")[0]
    named = re.findall(r"`(\w+\.\w+|test_\w+)`", table)
    assert len(named) > 20
    cpp = "\n".join(p.read_text() for folder in ("src", "tests") for p in (ROOT / folder).rglob("*.*")
                    if p.suffix in (".cc", ".h"))
    python = "\n".join(p.read_text() for p in (ROOT / "tests").rglob("test_*.py"))
    for name in named:
        suite, _, case = name.partition(".")
        found = re.search(rf"\(\s*{suite},\s*{case}\b", cpp) if case else f"def {name}(" in python
        assert found, name


def test_every_rule_of_the_model_is_told():
    """Each rule that a module can switch off has a paragraph in the page."""
    page = read("docs/specs/delivery.md")
    for module in ("Delivery", "Suspects", "Position", "Breaker"):
        text = read(f"docs/specs/model/{module}.tla")
        rules = re.findall(r"^  (\w+),?\s*\\\*", text.split("---- rules ----")[1].split("VARIABLES")[0], re.MULTILINE)
        assert rules, module
        for rule in rules:
            assert rule in page, f"{module}: {rule}"


def test_every_package_of_setup_is_a_known_dependency():
    """Each library that the build links stands in the list of dependencies."""
    page = read("docs/dependencies.md").lower()
    for library in re.findall(r"find_package\(([\w-]+)", read("CMakeLists.txt")):
        name = {"threads": "", "sqlite3": "sqlite", "curl": "libcurl", "gtest": "googletest",
                "benchmark": "google-benchmark"}.get(library.lower(), library.lower())
        assert name in page, library
