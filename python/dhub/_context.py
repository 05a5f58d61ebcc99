# SPDX-License-Identifier: Apache-2.0
"""What a step is told about its run, and how it publishes."""
from dhub import _values as values
from dhub import _wire as wire
from dhub._event import raw_key

MOST_PUBLICATIONS = 10_000
MOST_PUBLISHED_BYTES = 32 << 20


class Outbox:
    """What one step of one run has published so far; goes out only when the run succeeds."""

    __slots__ = ("parts", "bytes", "closed")

    def __init__(self):
        self.parts = []
        self.bytes = 0
        self.closed = False

    def add(self, topic, key, headers, value):
        if self.closed:
            raise RuntimeError("publish() was called after the step had ended")
        if not isinstance(topic, str) or not topic:
            raise TypeError("publish() takes the name of a topic, not %r" % (topic,))
        if len(topic) > 0xFFF:
            raise ValueError("the name of a topic must not be longer than 249 characters")
        part = wire.encode_publication(topic, _key(key), wire.encode_headers(headers), _value(value))
        self.bytes += len(part)
        if len(self.parts) >= MOST_PUBLICATIONS or self.bytes > MOST_PUBLISHED_BYTES:
            raise RuntimeError("a step may publish %d messages of %d MiB together at most for one event"
                               % (MOST_PUBLICATIONS, MOST_PUBLISHED_BYTES >> 20))
        self.parts.append(part)

    def close(self):
        self.closed = True
        return b"".join(self.parts)


def _key(key):
    if key is None or isinstance(key, bytes):
        return key
    if isinstance(key, str):
        return key.encode("utf-8")
    if isinstance(key, (bytearray, memoryview)):
        return bytes(key)
    raise TypeError("a key must be str, bytes or None, not %s" % type(key).__name__)


def _value(value):
    return None if value is None else values.encode(value)[1]


_KEEP = object()


class Context:
    """``pipeline_id``, ``pipeline_version``, ``step``, ``run_id``, ``attempt``, ``inputs`` (results of the steps
    before, by name), ``logger`` and ``publish()``. In ``init(context)`` there is no run: ``run_id`` and ``attempt`` are
    None and nothing can be published."""

    __slots__ = ("pipeline_id", "pipeline_version", "step", "_event", "_finished", "_names", "_outbox")

    def __init__(self, worker, step, event, finished):
        self.pipeline_id = worker.pipeline_id
        self.pipeline_version = worker.pipeline_version
        self.step = step.name
        self._event = event
        self._finished = finished
        self._names = worker.step_names
        self._outbox = None

    @property
    def run_id(self):
        if self._event is None:
            return None
        fields = self._event._fields
        return "%d-%d-%d" % (fields[wire.PASS], fields[wire.PARTITION], fields[wire.OFFSET])

    @property
    def attempt(self):
        return None if self._event is None else self._event._fields[wire.ATTEMPT]

    @property
    def logger(self):
        import logging

        return logging.getLogger(self.step)

    @property
    def inputs(self):
        found = {}
        for name, (tag, raw, _) in zip(self._names, self._finished):
            found[name] = None if tag == values.NONE else values.restore((tag, raw))
        return found

    def publish(self, topic, value, key=_KEEP, headers=None):
        """Publishes to a topic when the run has succeeded. ``value``: str, bytes, None (a tombstone) or what json.dumps
        takes. ``key``: the event's own when it is not given (None: no key)."""
        if self._event is None:
            raise RuntimeError("nothing can be published outside of a run")
        if self._outbox is None:
            self._outbox = Outbox()
        self._outbox.add(topic, raw_key(self._event) if key is _KEEP else key, headers, value)
