# SPDX-License-Identifier: Apache-2.0
"""What comes of a run: how it ended, and what its generators yielded."""
from types import AsyncGeneratorType, CoroutineType, GeneratorType

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


async def resolve(result):
    """(several, value) of what a step has returned."""
    if type(result) is CoroutineType:
        result = await result
    kind = type(result)
    if kind is AsyncGeneratorType:
        return True, await collect(result)
    if kind is GeneratorType:
        return True, take_all(result)
    return False, result


class Pending:
    """A run that stands still until what its step has returned is there, so that others can run meanwhile."""

    __slots__ = ("event", "context", "finished", "result", "error")

    def __init__(self, event, context, finished, result):
        self.event = event
        self.context = context
        self.finished = finished
        self.result = result
        self.error = None

    async def wait(self):
        try:
            self.result = await resolve(self.result)
        except BaseException as error:
            self.error = error

    def take(self):
        """(several, value), or what was raised."""
        if self.error is not None:
            raise self.error
        return self.result
