# SPDX-License-Identifier: Apache-2.0
"""Looks at a running server from outside: what it says was executed, its memory and CPU, until all is done or the run
makes no progress any more."""
import http.client
import pathlib
import re
import threading
import time

from quick import cpu_seconds
from series import SAMPLES_A_WINDOW, Sample, Series

FINISHED = "dhub_events_finished_total"
READ = "dhub_records_read_total"


class Pace:
    """Moments at equal distances; a moment that has passed is not waited for."""

    def __init__(self, seconds):
        self.seconds, self.next = seconds, time.monotonic()
        self._never = threading.Event()

    def wait(self):
        self.next += self.seconds
        self._never.wait(max(self.next - time.monotonic(), 0))


def labelled(text, name, **labels):
    """Sum of a metric's values over the lines that have all of these labels; None when there is no such line."""
    found = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
             if re.match(rf"{name}[{{ ]", line) and all(f'{key}="{value}"' in line for key, value in labels.items())]
    return sum(found) if found else None


def metrics(server):
    return server.call("GET", "/metrics", timeout=20).body.decode()


def executed(server, pipeline):
    """How many of its messages are final; a counter, so that it costs the server next to nothing."""
    return int(labelled(metrics(server), FINISHED, pipeline=pipeline) or 0)


def records_read(server, pipeline):
    """None when the server does not count them."""
    return labelled(metrics(server), READ, pipeline=pipeline)


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


class Patience:
    def __init__(self, window, stall, limit):
        self.window, self.stall, self.limit = window, stall, limit


def follow(server, pipeline, enough, patience):
    """The series of a run until `enough` messages are done. One that makes no progress, takes too long or does not
    answer is ended, and says so."""
    series, pace, begin = Series(), Pace(patience.window / SAMPLES_A_WINDOW), time.monotonic()
    while True:
        try:
            done = executed(server, pipeline)
        except (OSError, http.client.HTTPException) as error:
            series.ended = f"the server does not answer: {error!r:.60}"
            return series
        pid = server.process.pid
        series.add(Sample(time.monotonic() - begin, done, resident_mib(pid), cpu_seconds(pid)))
        if done >= enough:
            return series
        if series.seconds_without_progress() >= patience.stall:
            series.ended = f"no progress for {patience.stall:g} s at {done:,} of {enough:,}"
            return series
        if series.samples[-1].at >= patience.limit:
            series.ended = f"not done after {patience.limit:g} s: {done:,} of {enough:,}"
            return series
        pace.wait()
