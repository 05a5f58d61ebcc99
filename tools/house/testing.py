# SPDX-License-Identifier: Apache-2.0
"""Running test programs: a log each, a deadline each, and counts from their own reports."""
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from pathlib import Path

TAIL_LINES = 60


class Log:
    """The output of one command, in a file of its own."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def run(self, command, environment, timeout, directory, echo=False):
        """Runs without stdin in a process group of its own, which is killed at the deadline. Answers the exit code."""
        command = [str(word) for word in command]
        with open(self.path, "wb") as out:
            out.write(f"$ {' '.join(command)}\n".encode())
            out.flush()
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if echo else out,
                                     stderr=subprocess.STDOUT, env=environment, cwd=directory, start_new_session=True)
            try:
                if echo:
                    for line in child.stdout:
                        out.write(line)
                        sys.stdout.write(line.decode(errors="replace"))
                        sys.stdout.flush()
                return child.wait(timeout)
            except subprocess.TimeoutExpired:
                out.write(f"\nkilled after {timeout} s\n".encode())
                return -signal.SIGKILL
            finally:
                self._end(child)

    @staticmethod
    def _end(child):
        """Takes along whatever the command left behind."""
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()

    def tail(self):
        return self.path.read_text(errors="replace").splitlines()[-TAIL_LINES:]


class Tally:
    """What was counted so far."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.broken = []

    def count(self, name, passed, failed, skipped, seconds, log):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        extra = f", {skipped} skipped" if skipped else ""
        print(f"{'FAIL' if failed else 'ok':4} {name:32} {passed} passed, {failed} failed{extra} ({seconds:.1f} s)", flush=True)
        if failed:
            self.broken.append((name, log))
            print(f"     log: {log.path}\n" + "\n".join("     | " + line for line in log.tail()), flush=True)

    def report(self, seed, seconds):
        print(f"--- {seconds / 60:.1f} minutes")
        for name, log in self.broken:
            print(f"failed: {name}: {log.path}")
        if self.broken:
            print(f"again with: DHUB_TEST_SEED={seed} tools/test")
        extra = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{extra}", flush=True)


def _read_report(path):
    """(tests, failed, skipped) of a JUnit file, gtest's or pytest's; None when there is none."""
    try:
        cases = xml.parse(path).getroot().findall(".//testcase")
    except (OSError, xml.ParseError):
        return None
    failed = sum(1 for c in cases if c.find("failure") is not None or c.find("error") is not None)
    skipped = sum(1 for c in cases if c.find("skipped") is not None and c.find("failure") is None)
    # gtest lists what a filter left out as well.
    left_out = sum(1 for c in cases if c.get("status") == "notrun")
    return len(cases) - left_out, failed, skipped


def _judge(session, part, name, code, report, seconds, log):
    if report is None:  # no report: it is its exit code
        tests, failed, skipped = 1, 0 if code == 0 else 1, 0
    else:
        tests, failed, skipped = report
        if code != 0 and failed == 0:  # died, or a sanitizer spoke after the last test
            tests, failed = tests + 1, 1
    session.tally.count(f"{part} {name}", tests - failed - skipped, failed, skipped, seconds, log)


def run_program(session, part, name, command, environment, directory):
    """One test program: gtest's counts when it writes a report, else its exit code."""
    log, began = session.log(part, name), time.monotonic()
    if not command:
        log.path.write_text("not built\n")
        _judge(session, part, name, 1, None, 0, log)
        return
    report = log.path.with_suffix(".xml")
    report.unlink(missing_ok=True)
    environment = {**environment, "GTEST_OUTPUT": f"xml:{report}"}
    if session.filter:
        environment["GTEST_FILTER"] = f"*{session.filter}*"
    code = log.run(command, environment, session.timeout, directory)
    _judge(session, part, name, code, _read_report(report), time.monotonic() - began, log)


def run_pytest(session, part, suite, command, environment, directory):
    """One suite of pytest. A suite without tests has failed."""
    log, began = session.log(part, suite.replace("/", "-")), time.monotonic()
    report = log.path.with_suffix(".xml")
    report.unlink(missing_ok=True)
    command = [*command, "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    if session.filter:
        command += ["-k", session.filter]
    print(f"--- {part}: {suite}", flush=True)
    code = log.run(command, environment, 3 * session.timeout, directory)
    if code == 5 and session.filter:  # the filter left nothing
        code = 0
    _judge(session, part, suite, code, _read_report(report), time.monotonic() - began, log)
