# SPDX-License-Identifier: Apache-2.0
"""What comes of a run: how it ended, and what its generators yielded."""
MOST_YIELDED = 10_000


class Ended(Exception):
    """How a run ended that did not simply succeed."""

    def __init__(self, kind, step, error="", trace="", results=b"", retry_after=None):
        super().__init__()
        self.kind = kind
        self.step = step
        self.error = error
        self.trace = trace
        self.results = results
        self.retry_after = retry_after


def take_all(generator):
    taken = []
    for value in generator:
        taken.append(value)
        if len(taken) > MOST_YIELDED:
            raise ValueError("a step may yield %d values at most for one event" % MOST_YIELDED)
    return taken


async def collect(generator):
    taken = []
    async for value in generator:
        taken.append(value)
        if len(taken) > MOST_YIELDED:
            raise ValueError("a step may yield %d values at most for one event" % MOST_YIELDED)
    return taken
