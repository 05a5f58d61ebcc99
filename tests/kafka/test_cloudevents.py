# SPDX-License-Identifier: Apache-2.0
"""Messages in Kafka as a step sees them: CloudEvents in both modes, and every shape of key, value and header."""
import json

import kcat
import pytest
from hub import Pipeline, poll

ATTRIBUTES = {"id": "order-1", "source": "/shop", "type": "shop.order.placed", "subject": "orders/1",
              "time": "2026-01-02T03:04:05Z"}


@pytest.fixture
def topic(kafka):
    return kafka.client.create_topic(retention_ms=-1)


@pytest.fixture
def trigger(hub, topic, tmp_path):
    return Pipeline(hub, topic, tmp_path).start()


def in_order(trigger):
    """By offset: without a key an event waits for nobody."""
    return sorted(trigger.seen(), key=lambda one: one["offset"])


def attributes_of(seen):
    return {name: seen[name] for name in ATTRIBUTES}


def test_a_cloud_event_in_binary_mode(kafka, trigger, topic):
    headers = [("ce_specversion", b"1.0"), *((f"ce_{name}", value.encode()) for name, value in ATTRIBUTES.items()),
               ("ce_tenant", b"blue"), ("content-type", b"application/json")]
    kafka.client.produce(topic, b'{"total": 12}', key=b"customer-7", headers=headers)
    trigger.wait_at(1)
    [seen] = trigger.seen()
    assert attributes_of(seen) == ATTRIBUTES
    assert seen["data"] == {"total": 12} and bytes.fromhex(seen["value"]) == b'{"total": 12}'
    assert seen["key"] == "customer-7"
    assert seen["headers"] == [[name, value.decode()] for name, value in headers]


@pytest.mark.parametrize("content_type", [b"application/cloudevents+json", b"application/cloudevents+json; charset=UTF-8"])
def test_a_cloud_event_in_structured_mode(kafka, trigger, topic, content_type):
    envelope = json.dumps({"specversion": "1.0", **ATTRIBUTES, "datacontenttype": "application/json",
                           "data": {"total": 12}}).encode()
    kafka.client.produce(topic, envelope, key=b"customer-7", headers=[("content-type", content_type)])
    trigger.wait_at(1)
    [seen] = trigger.seen()
    assert attributes_of(seen) == ATTRIBUTES
    assert seen["data"] == {"total": 12} and bytes.fromhex(seen["value"]) == envelope
    assert seen["key"] == "customer-7"


def test_a_cloud_event_that_carries_bytes(kafka, trigger, topic):
    envelope = json.dumps({"specversion": "1.0", **ATTRIBUTES, "data_base64": "AAH/"}).encode()
    kafka.client.produce(topic, envelope, headers=[("content-type", b"application/cloudevents+json")])
    trigger.wait_at(1)
    assert trigger.seen()[0]["data"] == {"bytes": "0001ff"}


def test_a_plain_message_has_attributes_of_where_it_stands(kafka, trigger, topic):
    kafka.client.produce(topic, b"plain", timestamp=1767323045000)
    trigger.wait_at(1)
    [seen] = trigger.seen()
    assert seen["id"] == f"{topic}/0/0" and seen["type"] is None and seen["source"] is None
    assert seen["timestamp"] == 1767323045000 and seen["time"] == "2026-01-02T03:04:05.000Z"
    assert seen["topic"] == topic and (seen["partition"], seen["offset"]) == (0, 0)


def test_keys_are_kept_byte_for_byte(kafka, trigger, topic):
    high = bytes(range(128, 256))
    shown = {None: None, b"": "", b"text": "text", "käse".encode(): "käse", b"\x00": "\x00",
             b"\x00\xff\xfe": {"bytes": "00fffe"}, high: {"bytes": high.hex()}}
    for key in shown:
        kafka.client.produce(topic, b"v", key=key)
    trigger.wait_at(len(shown))
    assert [one["key"] for one in in_order(trigger)] == list(shown.values())


def test_values_are_kept_byte_for_byte(kafka, trigger, topic):
    data = {b"": "", b"text": "text", b"\x00\xff": {"bytes": "00ff"}, b" [1,  2] ": [1, 2], b"null": None,
            b'{"a": 1, "a": 2}': {"a": 2}}
    kafka.client.produce_many(topic, list(data))
    trigger.wait_at(len(data))
    assert [(bytes.fromhex(one["value"]), one["data"]) for one in in_order(trigger)] == list(data.items())


def test_headers_keep_their_order_their_repeats_and_their_bytes(kafka, trigger, topic):
    headers = [("b", b"1"), ("a", b""), ("b", b"2"), ("B", b"\xff\x00"), ("", b"no name"), ("ü", b"x")]
    kafka.client.produce(topic, b"v", headers=headers)
    kcat.produce(kafka.settings(), topic, b"w", headers=[("n", None), ("n", b"3")])
    trigger.wait_at(2)
    first, second = in_order(trigger)
    assert first["headers"] == [["b", "1"], ["a", ""], ["b", "2"], ["B", {"bytes": "ff00"}], ["", "no name"], ["ü", "x"]]
    assert second["headers"] == [["n", None], ["n", "3"]]


def test_tombstones_with_and_without_a_key(kafka, trigger, topic):
    kafka.client.produce(topic, None, key=b"k")
    kafka.client.produce(topic, None, key=None)
    kafka.client.produce(topic, b"", key=b"k")  # empty is not null
    trigger.wait_at(3)
    assert [(one["key"], one["value"]) for one in in_order(trigger)] == [("k", None), (None, None), ("k", "")]


def test_an_empty_key_is_a_key(kafka, hub, topic, tmp_path):
    """Events of one key go one at a time and in their order; those without a key do not."""
    trigger = Pipeline(hub, topic, tmp_path, scaling={"max_instances": 4}).start()
    kafka.client.produce_many(topic, [str(number).encode() for number in range(40)], keys=[b""] * 40)
    trigger.wait_at(40)
    assert trigger.offsets() == list(range(40))


def test_what_is_published_again_keeps_key_and_bytes(kafka, hub, topic):
    target = kafka.client.create_topic()
    pipeline = f"copy-{target}"
    hub.create({"id": pipeline, "name": "Copy", "options": {"event": topic}, "steps": [
        {"name": "copy", "script": "def handle(event, context):\n    context.publish(%r, event.value, headers="
                                   "dict(event.headers))" % target}]})
    hub.start_trigger(pipeline)
    kafka.client.produce(topic, b"\x00\xff", key=b"\xff\x00", headers=[("h", b"\xfe")])
    kafka.client.produce(topic, b"x", key=b"")
    hub.wait_status(pipeline, lambda s: s["partitions"][0]["cursor"] == 2)
    first, second = poll(lambda: kafka.client.read(target), lambda records: len(records) == 2)
    assert (first.key, first.value) == (b"\xff\x00", b"\x00\xff") and ("h", b"\xfe") in first.headers
    assert (second.key, second.value) == (b"", b"x")
