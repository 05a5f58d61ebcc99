# SPDX-License-Identifier: Apache-2.0
"""tools/test counts what ran, takes no crash for a pass, and leaves no process behind."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from house import fuzzing  # noqa: E402
from house.testing import Log, Tally, run_program, run_pytest  # noqa: E402

REPORT = """<testsuites tests="4"><testsuite name="A">
<testcase name="good" status="run"/><testcase name="left_out" status="notrun"/>
<testcase name="skipped" status="run"><skipped message="no disk"/></testcase>
<testcase name="bad" status="run"><failure message="x"/></testcase>
</testsuite></testsuites>"""


class Session:
    def __init__(self, folder):
        self.tally = Tally()
        self.filter = None
        self.timeout = 20
        self.folder = folder

    def log(self, part, name):
        return Log(self.folder / part / f"{name}.log")


@pytest.fixture
def session(tmp_path):
    return Session(tmp_path)


def program(session, script):
    """Runs a shell script as if it were a test program."""
    run_program(session, "unit", "it", ["bash", "-c", script], dict(os.environ), session.folder)
    return session.tally.passed, session.tally.failed, session.tally.skipped


def writes(report):
    return f"cat > ${{GTEST_OUTPUT#xml:}} <<'X'\n{report}\nX\n"


def test_counts_come_from_the_programs_report(session):
    assert program(session, writes(REPORT) + "exit 1") == (1, 1, 1)


def test_a_program_that_dies_after_its_last_test_has_failed(session):
    good = '<testsuites><testsuite><testcase name="a" status="run"/></testsuite></testsuites>'
    assert program(session, writes(good) + "kill -SEGV $$") == (1, 1, 0)


def test_a_program_without_a_report_counts_by_its_exit_code(session):
    assert program(session, "exit 0") == (1, 0, 0)
    assert program(session, "exit 3") == (1, 1, 0)


def test_a_report_of_an_earlier_run_does_not_count(session):
    program(session, writes(REPORT))
    session.tally = Tally()
    assert program(session, "exit 1") == (0, 1, 0)


def test_a_program_that_hangs_is_ended_with_its_children(session):
    session.timeout = 1
    assert program(session, f"sleep 1000 & echo $! > {session.folder}/child; wait") == (0, 1, 0)
    child = int((session.folder / "child").read_text())
    stat = Path(f"/proc/{child}/stat")
    # It may still be a zombie that its new parent has not fetched.
    assert not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    assert "killed after 1 s" in (session.folder / "unit/it.log").read_text()


def test_a_suite_without_tests_has_failed(session):
    (session.folder / "suite").mkdir()
    run_pytest(session, "python", "suite", [sys.executable, "-m", "pytest", "suite"], dict(os.environ), session.folder)
    assert (session.tally.passed, session.tally.failed) == (0, 1)


def test_a_suite_that_cannot_be_loaded_has_failed(session):
    (session.folder / "suite").mkdir()
    (session.folder / "suite/test_a.py").write_text("import nowhere_at_all\n")
    run_pytest(session, "python", "suite", [sys.executable, "-m", "pytest", "suite"], dict(os.environ), session.folder)
    assert (session.tally.passed, session.tally.failed) == (0, 1)


def test_the_last_line_is_the_count(session, capsys):
    session.tally.count("a", 3, 0, 0, 0, None)
    session.tally.report("7", 1)
    assert capsys.readouterr().out.splitlines()[-1] == "3 passed, 0 failed"
    session.tally.count("b", 1, 0, 2, 0, None)
    session.tally.report("7", 1)
    assert capsys.readouterr().out.splitlines()[-1] == "4 passed, 0 failed, 2 skipped"


def test_a_failure_says_how_to_run_it_again(session, capsys):
    program(session, "echo what went wrong; exit 1")
    session.tally.report("4711", 1)
    out = capsys.readouterr().out
    assert "what went wrong" in out and "DHUB_TEST_SEED=4711" in out and "unit/it.log" in out


STATS = "#2\tINITED cov: 10 ft: 20 corp: 1\n#9000\tDONE   cov: 1234 ft: 5678\nstat::number_of_executed_units: 9000\n"


def fuzz_target(session, name, script):
    """A tree with one fuzz target, which is a shell script; answers what was counted."""
    binary = session.folder / "build/fuzz/tests/fuzz" / f"fuzz_{name}"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    session.seed, session.environment = "7", dict(os.environ)
    if name == fuzzing.CANARY:
        fuzzing.run_canary(session, session.folder)
    else:
        fuzzing.run_target(session, session.folder, name, 1)
    return session.tally.passed, session.tally.failed


def test_a_fuzz_target_passes_when_it_finds_nothing_and_tells_what_it_reached(session, capsys):
    assert fuzz_target(session, "json", f"echo '{STATS}'") == (1, 0)
    assert "1,234 edges, 5,678 features, 9,000 inputs" in capsys.readouterr().out


def test_a_fuzz_target_that_finds_something_has_failed(session):
    assert fuzz_target(session, "json", "exit 77") == (0, 1)


@pytest.mark.parametrize("script, counted", [
    ("echo ERROR: AddressSanitizer: heap-buffer-overflow; exit 1", (1, 0)),
    ("exit 0", (0, 1)),  # it was not found
    ("echo ERROR: out of memory; exit 71", (0, 1)),  # something else was
])
def test_the_canary_has_to_be_found(session, script, counted):
    assert fuzz_target(session, fuzzing.CANARY, script) == counted


def test_every_fuzz_target_has_seeds_and_is_built():
    built = (ROOT / "tests/fuzz/CMakeLists.txt").read_text()
    sources = {path.stem for path in (ROOT / "tests/fuzz").glob("*.cc")}
    assert sources == {*fuzzing.targets(ROOT), fuzzing.CANARY}
    assert all(f"dhub_fuzz({name}" in built for name in sources)


def test_an_unknown_part_is_refused():
    done = subprocess.run([ROOT / "tools/test", "--only", "nothing"], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 2 and "nothing" in done.stderr
