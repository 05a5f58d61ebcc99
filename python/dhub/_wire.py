# SPDX-License-Identifier: Apache-2.0
"""The bytes between host and worker; docs/specs/frames.md describes them all."""
from struct import Struct

START, DELIVER, DRAIN = 2, 3, 5
HELLO, READY, OUTCOMES, FAILED = 1, 16, 17, 20

SUCCEEDED, FILTERED, ATTEMPT_FAILED, REJECTED, NOT_STARTED = 1, 2, 3, 4, 5
TIMED_OUT, OUT_OF_MEMORY = 7, 8

HAS_RETRY_AFTER = 2  # flag of an outcome
ALONE = 1  # flag of a delivery

FRAME = Struct("<IBQ")  # length of what follows, type, instance
OUTCOMES_HEAD = Struct("<IBQI")  # the same and the count of outcomes
COUNT = Struct("<I")
HEADER_NAME = Struct("<H")
# Length, delivery, kind, flags, step, microseconds, retry after (ms), lengths of error, trace, log, results and
# publications.
OUTCOME = Struct("<IQBBHIqIIIII")
OUTCOME_FIXED = OUTCOME.size - 4
# Length, attributes, timestamp (ms), lengths of key, headers and value.
RECORD = Struct("<IBqIII")
HAS_KEY, HAS_VALUE = 1, 2
NULL = 0xFFFFFFFF

# A delivery up to the end of the fixed part of its record.
DELIVERY = Struct("<IQiiqiHHHHHIIBqIII")
(
    LENGTH,
    DELIVERY_ID,
    PASS,
    PARTITION,
    OFFSET,
    ATTEMPT,
    CHAIN,
    HOPS,
    STEP,
    FLAGS,
    TOPIC_LENGTH,
    RESULTS_LENGTH,
    RECORD_LENGTH,
    ATTRIBUTES,
    TIMESTAMP,
    KEY_LENGTH,
    HEADERS_LENGTH,
    VALUE_LENGTH,
) = range(18)
RECORD_AT = 46  # where the record begins in a delivery
BODY_AT = DELIVERY.size  # where the record's key begins

MOST_FRAME_BYTES = 64 << 20
MOST_OUTCOME_BYTES = 48 << 20


class Parts:
    """Takes the parts of a payload one after another."""

    def __init__(self, payload):
        self.payload = payload
        self.at = 0

    def take(self, struct):
        values = struct.unpack_from(self.payload, self.at)
        self.at += struct.size
        return values

    def string(self):
        (length,) = self.take(COUNT)
        text = self.payload[self.at : self.at + length]
        self.at += length
        return text.decode("utf-8", "surrogateescape")


def string(text):
    raw = text.encode("utf-8", "backslashreplace")
    return COUNT.pack(len(raw)) + raw


def encode_headers(headers):
    """A block of headers from a mapping or from pairs; values are str, bytes or None."""
    if not headers:
        return b""
    parts = []
    for name, value in headers.items() if hasattr(headers, "items") else headers:
        if not isinstance(name, str):
            raise TypeError("a header's name must be str, not %s" % type(name).__name__)
        raw = name.encode("utf-8")
        if len(raw) > 0xFFFF:
            raise ValueError("a header's name must not be longer than 65535 bytes")
        parts.append(HEADER_NAME.pack(len(raw)) + raw)
        if value is None:
            parts.append(COUNT.pack(NULL))
            continue
        if isinstance(value, str):
            value = value.encode("utf-8")
        elif not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError("the value of header %r must be str, bytes or None, not %s" % (name, type(value).__name__))
        parts.append(COUNT.pack(len(value)) + bytes(value))
    return b"".join(parts)


def decode_headers(block):
    pairs = []
    at = 0
    while at < len(block):
        (length,) = HEADER_NAME.unpack_from(block, at)
        at += 2
        name = block[at : at + length].decode("utf-8", "replace")
        at += length
        (length,) = COUNT.unpack_from(block, at)
        at += 4
        if length == NULL:
            pairs.append((name, None))
            continue
        pairs.append((name, text_or_bytes(block[at : at + length])))
        at += length
    return pairs


def text_or_bytes(raw):
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def encode_publication(topic, key, headers, value):
    """``key`` and ``value`` are bytes or None, ``headers`` is a block."""
    name = topic.encode("utf-8", "surrogatepass")
    attributes = (HAS_KEY if key is not None else 0) | (HAS_VALUE if value is not None else 0)
    key = key or b""
    value = value or b""
    length = RECORD.size - 4 + len(key) + len(headers) + len(value)
    record = RECORD.pack(length, attributes, 0, len(key), len(headers), len(value))
    return b"".join((HEADER_NAME.pack(len(name)), name, record, key, headers, value))
