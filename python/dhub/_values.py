# SPDX-License-Identifier: Apache-2.0
"""Values between steps: text, bytes or JSON, never live objects, so that a run that is resumed in another process sees
what an uninterrupted one sees."""
import json
from struct import Struct

NONE, TEXT, BYTES, JSON = b"n"[0], b"t"[0], b"b"[0], b"j"[0]

_ENTRY = Struct("<BII")  # tag, length of the value, length of the publications
_HEAD = Struct("<BI")  # version, count of steps
_VERSION = 1


def _no_constant(name):
    raise ValueError(name + " is not JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)
_scan = _decoder.scan_once
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_encode_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_JSON_STARTS = frozenset(b'{["-0123456789tfn \t\r\n')


class NotSerialisable(TypeError):
    """A result that cannot leave its step."""


def decode(raw):
    """JSON when it is JSON, else text, else bytes."""
    if not raw or raw[0] not in _JSON_STARTS:
        return _text(raw)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw
    try:
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except StopIteration:
        pass
    except ValueError:
        return text
    try:  # white space around it
        return _decoder.decode(text)
    except ValueError:
        return text


def _text(raw):
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def encode(value):
    """(tag, bytes) of what a step returned."""
    kind = type(value)
    if kind is str:
        return TEXT, value.encode("utf-8", "surrogatepass")
    if kind is bytes:
        return BYTES, value
    if isinstance(value, (bytearray, memoryview)):
        return BYTES, bytes(value)
    return JSON, encode_json(value)


def encode_json(value):
    try:
        return _encode(value).encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair
        return _encode_ascii(value).encode("utf-8")
    except (TypeError, ValueError) as error:
        raise NotSerialisable("%s; a step returns str, bytes or what json.dumps takes" % error) from None


def restore(blob):
    """What a next step sees as data. ``blob`` begins with (tag, bytes)."""
    tag, raw = blob[0], blob[1]
    if tag == JSON:
        return json.loads(raw)
    if tag == TEXT:
        return raw.decode("utf-8", "surrogatepass")
    return raw


def pack_finished(finished):
    """The stored results of finished steps: a list of (tag, bytes, publications)."""
    parts = [_HEAD.pack(_VERSION, len(finished))]
    for tag, raw, publications in finished:
        parts.append(_ENTRY.pack(tag, len(raw), len(publications)))
        parts.append(raw)
        parts.append(publications)
    return b"".join(parts)


def unpack_finished(blob):
    """The list again; None when the bytes are not ours."""
    try:
        version, count = _HEAD.unpack_from(blob)
        if version != _VERSION or count > len(blob):
            return None
        finished = []
        at = _HEAD.size
        for _ in range(count):
            tag, length, published = _ENTRY.unpack_from(blob, at)
            at += _ENTRY.size
            if tag not in (NONE, TEXT, BYTES, JSON) or at + length + published > len(blob):
                return None
            finished.append((tag, blob[at : at + length], blob[at + length : at + length + published]))
            at += length + published
        return finished if at == len(blob) else None
    except Exception:
        return None
