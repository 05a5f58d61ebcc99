# SPDX-License-Identifier: Apache-2.0
"""What a run looks like over time: how much was done, how fast, with how much memory and CPU. Pure."""
import statistics
from typing import NamedTuple

SAMPLES_A_WINDOW = 4


class Sample(NamedTuple):
    at: float        # seconds since the run began
    done: int        # messages
    resident: float  # MiB of the server
    cpu: float       # seconds of the server


class Series:
    """Samples of one run, taken SAMPLES_A_WINDOW times a window."""

    def __init__(self):
        self.samples = []
        self.ended = None  # why it was ended before all was done

    def add(self, sample):
        self.samples.append(sample)

    def done(self):
        return self.samples[-1].done if self.samples else 0

    def seconds_without_progress(self):
        last = self.samples[-1]
        return last.at - next(s.at for s in self.samples if s.done == last.done)

    def windows(self, until=None, samples=SAMPLES_A_WINDOW):
        """(seconds at its end, messages a second) of every whole window; `until` so many were done."""
        edges = self._until(until)[::samples]
        return [(b.at, (b.done - a.done) / (b.at - a.at)) for a, b in zip(edges, edges[1:])]

    def rates(self, until=None):
        """Of the windows without the first and the last, in which the run begins and ends. A run that is too short for
        others has shorter windows; one that is too short for those answers its rate as a whole."""
        for samples in (SAMPLES_A_WINDOW, SAMPLES_A_WINDOW // 2, 1):
            inner = [rate for _, rate in self.windows(until, samples)[1:-1]]
            if inner:
                return inner
        first, last = self.samples[0], self._until(until)[-1]
        return [(last.done - first.done) / max(last.at - first.at, 1e-9)]

    def is_short(self, until=None):
        return len(self.windows(until)) < 3

    def median(self, until=None):
        return statistics.median(self.rates(until))

    def slowest_of_median(self, until=None):
        median = self.median(until)
        return min(self.rates(until)) / median if median else 0.0

    def most_resident(self):
        return max(sample.resident for sample in self.samples)

    def resident_growth(self):
        """Mean of the last quarter of the run by that of the second; 1 when it is too short to have quarters."""
        quarter = len(self.samples) // 4
        if quarter == 0:
            return 1.0
        second, last = self.samples[quarter:2 * quarter], self.samples[-quarter:]
        return statistics.mean(s.resident for s in last) / statistics.mean(s.resident for s in second)

    def cpu_us(self):
        """Of the server, a message."""
        first, last = self.samples[0], self.samples[-1]
        return (last.cpu - first.cpu) / max(last.done - first.done, 1) * 1e6

    def _until(self, until):
        """The last window is then the one in which so many were reached."""
        if until is None:
            return self.samples
        end = next((n for n, s in enumerate(self.samples) if s.done >= until), len(self.samples) - 1)
        return self.samples[:end + 1]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
