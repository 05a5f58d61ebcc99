# SPDX-License-Identifier: Apache-2.0
"""tools/test counts what ran, takes no crash for a pass, and leaves no process behind."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

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


def test_an_unknown_part_is_refused():
    done = subprocess.run([ROOT / "tools/test", "--only", "nothing"], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 2 and "nothing" in done.stderr
