# SPDX-License-Identifier: Apache-2.0
"""What a step of a pipeline can import.

A step defines ``handle(event)`` or ``handle(event, context)``, plain or ``async``. What it returns is the next step's
``event.data``; any exception is an attempt that failed and is tried again. Three exceptions say something else:

    from dhub import Skip, Reject, Retry

    raise Skip("a test order")          # this event is of no interest: done, filtered
    raise Reject("no such customer")    # trying again would not help: dead letter at once
    raise Retry("rate limited", after=30)   # try again, in 30 seconds
"""
import math as _math

__all__ = ["Skip", "Reject", "Retry"]


class Skip(Exception):
    """Ends the run as filtered: nothing is published, nothing is retried."""


class Reject(Exception):
    """Ends the run as a dead letter at once, whatever attempts are left."""


class Retry(Exception):
    """Fails the attempt and says when to try again: ``after`` is seconds or a ``datetime.timedelta``."""

    def __init__(self, reason="", *, after=None):
        super().__init__(reason)
        if after is not None:
            after = float(after.total_seconds() if hasattr(after, "total_seconds") else after)
            if not _math.isfinite(after) or after < 0:
                raise ValueError("Retry(after=...) takes seconds, 0 or more")
        self.after = after
