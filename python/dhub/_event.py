# SPDX-License-Identifier: Apache-2.0
"""The event as a step sees it. Nothing is decoded before it is touched."""
import base64

from dhub import _values as values
from dhub import _wire as wire


class Headers(dict):
    """Name to value (str when it is UTF-8, else bytes, or None). A name may repeat in a message: here the last one
    counts, ``pairs`` has them all in their order."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.pairs = pairs


class Event:
    """``data`` is JSON when it is JSON, else str or bytes; ``value`` the message's raw bytes (None: a tombstone);
    ``key`` str when it is UTF-8, else bytes, or None; ``headers``, ``topic``, ``partition``, ``offset``, ``timestamp``
    (ms since 1970); and the CloudEvents attributes ``id``, ``source``, ``type``, ``subject``, ``time``."""

    __slots__ = (
        ("_frame", "_at", "_fields", "_blob", "_envelope")
        + ("data", "value", "key", "headers", "topic", "partition", "offset", "timestamp")
        + ("id", "source", "type", "subject", "time")
    )

    def __init__(self, frame, at, fields, blob):
        self._frame = frame
        self._at = at
        self._fields = fields
        self._blob = blob

    # Called only for slots that are not set yet.
    def __getattr__(self, name):
        maker = _MAKERS.get(name)
        if maker is None:
            raise AttributeError("an event has no attribute %r; it has %s" % (name, ", ".join(sorted(_PUBLIC))))
        made = maker(self)
        setattr(self, name, made)
        return made

    def __repr__(self):
        return "<Event %s/%d/%d key=%r>" % (self.topic, self.partition, self.offset, self.key)

    def __reduce__(self):
        raise TypeError("an event cannot be pickled; pass on event.data or event.value")


def _data(event):
    if event._blob is not None:
        return values.restore(event._blob)
    if event._envelope is not None:
        return _envelope_data(event._envelope)
    raw = event.value
    return None if raw is None else values.decode(raw)


def _value(event):
    fields = event._fields
    if not fields[wire.ATTRIBUTES] & wire.HAS_VALUE:
        return None
    start = event._at + wire.BODY_AT + fields[wire.KEY_LENGTH] + fields[wire.HEADERS_LENGTH]
    return event._frame[start : start + fields[wire.VALUE_LENGTH]]


def raw_key(event):
    fields = event._fields
    if not fields[wire.ATTRIBUTES] & wire.HAS_KEY:
        return None
    start = event._at + wire.BODY_AT
    return event._frame[start : start + fields[wire.KEY_LENGTH]]


def _key(event):
    raw = raw_key(event)
    return None if raw is None else wire.text_or_bytes(raw)


def _headers(event):
    fields = event._fields
    if not fields[wire.HEADERS_LENGTH]:
        return Headers([])
    start = event._at + wire.BODY_AT + fields[wire.KEY_LENGTH]
    return Headers(wire.decode_headers(event._frame[start : start + fields[wire.HEADERS_LENGTH]]))


def _topic(event):
    fields = event._fields
    start = event._at + wire.RECORD_AT + 4 + fields[wire.RECORD_LENGTH]
    return event._frame[start : start + fields[wire.TOPIC_LENGTH]].decode("utf-8", "replace")


def _envelope(event):
    """The envelope of a structured CloudEvent, else None."""
    if not event._fields[wire.HEADERS_LENGTH]:
        return None
    kind = event.headers.get("content-type") or event.headers.get("Content-Type")
    if not isinstance(kind, str) or not kind.startswith("application/cloudevents+json"):
        return None
    raw = event.value
    envelope = None if raw is None else values.decode(raw)
    return envelope if isinstance(envelope, dict) and "specversion" in envelope else None


def _envelope_data(envelope):
    if "data_base64" in envelope:
        return base64.b64decode(envelope["data_base64"])
    return envelope.get("data")


def _attribute(event, name):
    if event._envelope is not None:
        return event._envelope.get(name)
    if not event._fields[wire.HEADERS_LENGTH]:
        return None
    headers = event.headers
    found = headers.get("ce_" + name)
    return headers.get("ce-" + name) if found is None else found


def _id(event):
    given = _attribute(event, "id")
    return "%s/%d/%d" % (event.topic, event.partition, event.offset) if given is None else given


def _time(event):
    given = _attribute(event, "time")
    if given is not None:
        return given
    from datetime import datetime, timedelta, timezone

    at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=event.timestamp)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_MAKERS = {
    "data": _data,
    "value": _value,
    "key": _key,
    "headers": _headers,
    "topic": _topic,
    "partition": lambda event: event._fields[wire.PARTITION],
    "offset": lambda event: event._fields[wire.OFFSET],
    "timestamp": lambda event: event._fields[wire.TIMESTAMP],
    "id": _id,
    "source": lambda event: _attribute(event, "source"),
    "type": lambda event: _attribute(event, "type"),
    "subject": lambda event: _attribute(event, "subject"),
    "time": _time,
    "_envelope": _envelope,
}
_PUBLIC = [name for name in _MAKERS if not name.startswith("_")]
