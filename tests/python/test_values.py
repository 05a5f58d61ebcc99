# SPDX-License-Identifier: Apache-2.0
"""Values, events, logs: the parts of the package without a process."""
import datetime
import struct

import pytest
from conftest import delivery

import dhub
from dhub import _capture as capture
from dhub import _values as values
from dhub import _wire as wire
from dhub._context import Outbox
from dhub._event import Event


@pytest.mark.parametrize("raw, expected", [
    (b'{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
    (b'  [1]\n', [1]),
    (b"12", 12),
    (b"-1.5e3", -1500.0),
    (b"true", True),
    (b'"text"', "text"),
    (b"plain", "plain"),
    (b"true story", "true story"),
    (b"12 apples", "12 apples"),
    (b"{broken", "{broken"),
    (b"NaN", "NaN"),
    (b"Infinity", "Infinity"),
    (b"[NaN]", "[NaN]"),
    (b"", ""),
    (b"\xff\x00", b"\xff\x00"),
    (b"[\xff]", b"[\xff]"),
    ("\u00fc".encode(), "\u00fc"),
    (b"\xef\xbb\xbf{}", "\ufeff{}"),
])
def test_data_is_json_else_text_else_bytes(raw, expected):
    decoded = values.decode(raw)
    assert decoded == expected and type(decoded) is type(expected)


@pytest.mark.parametrize("value", [{"a": [1, None]}, [], "text", "\u00fc", b"\xff", 0, False, "", b"", "\ud800"])
def test_a_value_comes_back_in_the_next_step(value):
    back = values.restore(values.encode(value))
    assert back == value and type(back) is type(value)


def test_half_a_surrogate_pair_inside_json_is_escaped():
    assert values.encode({"a": "\ud800"}) == (values.JSON, b'{"a":"\\ud800"}')


@pytest.mark.parametrize("value", [{1, 2}, object(), float("nan"), {"a": float("inf")}, {(1, 2): 3}, b"x".join])
def test_what_is_not_json_is_refused_with_a_hint(value):
    with pytest.raises(values.NotSerialisable, match="json.dumps takes"):
        values.encode(value)


def test_a_circle_is_refused():
    circle = []
    circle.append(circle)
    with pytest.raises(values.NotSerialisable):
        values.encode(circle)


def test_finished_steps_come_back_and_no_cut_of_them_does():
    finished = [(values.TEXT, b"one", b"pubs"), (values.NONE, b"", b""), (values.JSON, b"{}", b"more")]
    packed = values.pack_finished(finished)
    assert values.unpack_finished(packed) == finished
    for length in range(len(packed)):
        assert values.unpack_finished(packed[:length]) is None
    assert values.unpack_finished(packed + b"x") is None


def event_of(value, blob=None, **more):
    raw = delivery(5, value, **more)
    return Event(raw, 0, wire.DELIVERY.unpack_from(raw), blob)


def test_an_event_tells_where_it_stands():
    event = event_of(b"v", key=b"k")
    assert (event.topic, event.partition, event.offset, event.timestamp) == ("orders", 0, 105, 1_700_000_000_123)
    assert (event.id, event.time) == ("orders/0/105", "2023-11-14T22:13:20.123Z")
    assert (event.source, event.type, event.subject) == (None, None, None)
    assert repr(event) == "<Event orders/0/105 key='k'>"


def test_keys_are_text_bytes_or_none():
    assert event_of(b"v").key is None
    assert event_of(b"v", key=b"").key == ""
    assert event_of(b"v", key=b"\xff").key == b"\xff"


def test_a_tombstone_has_no_value_and_no_data():
    event = event_of(None, key=b"k")
    assert event.value is None and event.data is None


def test_headers_repeat_and_may_be_null():
    event = event_of(b"v", headers=[("a", "1"), ("a", b"\xff"), ("n", None)])
    assert event.headers["a"] == b"\xff"
    assert event.headers["n"] is None
    assert event.headers.pairs == [("a", "1"), ("a", b"\xff"), ("n", None)]


@pytest.mark.parametrize("prefix", ["ce_", "ce-"])
def test_cloud_events_attributes_come_from_binary_headers(prefix):
    event = event_of(b"{}", headers=[(prefix + n, n + "!") for n in ("id", "source", "type", "subject", "time")])
    assert [event.id, event.source, event.type, event.subject, event.time] == [
        "id!", "source!", "type!", "subject!", "time!"]


def test_a_structured_cloud_event_is_opened():
    headers = [("content-type", "application/cloudevents+json; charset=utf-8")]
    event = event_of(b'{"specversion": "1.0", "id": "7", "type": "t", "data": {"a": 1}}', headers=headers)
    assert (event.id, event.type, event.source, event.data) == ("7", "t", None, {"a": 1})
    assert event.value.startswith(b'{"specversion"')
    encoded = event_of(b'{"specversion": "1.0", "data_base64": "AP8="}', headers=headers)
    assert encoded.data == b"\x00\xff"
    assert event_of(b'[1]', headers=headers).data == [1]


def test_data_of_a_later_step_is_the_result_before_it():
    event = event_of(b"original", blob=values.encode({"n": 1}))
    assert event.data == {"n": 1} and event.value == b"original"


def test_an_unknown_attribute_names_those_that_exist():
    with pytest.raises(AttributeError, match="it has data, headers, id, key"):
        event_of(b"v").payload


def test_retry_takes_seconds_and_durations_only():
    assert dhub.Retry("x").after is None
    assert dhub.Retry(after=2).after == 2.0
    assert dhub.Retry(after=datetime.timedelta(minutes=1)).after == 60.0
    for wrong in (-1, float("nan"), float("inf"), "soon"):
        with pytest.raises((ValueError, TypeError)):
            dhub.Retry(after=wrong)


def test_publications_are_bounded_and_end_with_their_step():
    outbox = Outbox()
    for _ in range(10_000):
        outbox.add("t", None, None, "x")
    with pytest.raises(RuntimeError, match="10000 messages"):
        outbox.add("t", None, None, "x")
    large = Outbox()
    with pytest.raises(RuntimeError, match="32 MiB"):
        large.add("t", None, None, b"x" * (33 << 20))
    large.close()
    with pytest.raises(RuntimeError, match="after the step had ended"):
        large.add("t", None, None, "x")


@pytest.mark.parametrize("arguments", [("", None, None, 1), (None, None, None, 1), ("t", 5, None, 1),
                                       ("t", None, {5: "x"}, 1), ("t", None, {"a": 5}, 1), ("t", None, None, {1})])
def test_what_cannot_be_published_is_a_type_error(arguments):
    with pytest.raises(TypeError):
        Outbox().add(*arguments)


@pytest.mark.parametrize("text, room, kept", [("abc", 3, b"abc"), ("abcd", 3, b"abc"), ("a\u00fcb", 2, b"a"),
                                              ("\U0001f600", 3, b""), ("\u00fc" * 10, 7, "\u00fc\u00fc\u00fc".encode()),
                                              ("x\ud800", 10, b"x\\ud800"), ("", 0, b"")])
def test_a_log_is_cut_between_characters(text, room, kept):
    raw, cut = capture.clip(text, room)
    assert raw == kept
    assert cut == (text.encode("utf-8", "backslashreplace") != kept)


def test_the_mark_names_the_limit():
    assert capture.cut_mark(64 << 10) == b"... [cut at 64KiB]"
    assert capture.cut_mark(3 << 20) == b"... [cut at 3MiB]"
    assert capture.cut_mark(1500) == b"... [cut at 1500B]"
    log = capture.ListLog(10)
    for _ in range(5):
        log.write("hello ")
    assert log.take() == b"hello hell... [cut at 10B]"


def test_the_structs_have_the_sizes_of_the_specification():
    assert (wire.FRAME.size, wire.OUTCOME.size, wire.RECORD.size, wire.DELIVERY.size) == (13, 48, 25, 71)
    assert wire.RECORD_AT == struct.calcsize("<IQiiqiHHHHHI")
