# SPDX-License-Identifier: Apache-2.0
"""Other clients beside us in the same topics: what they send we get byte for byte, what we send they get, and a key is in
the partition where each of them looks for it."""
import base64
import concurrent.futures
import contextlib
import json
import struct

import java_producer
import kcat
import pytest
from client import kafka as kafka_python
from hub import Pipeline, Server, cursors_of, lag, poll

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}  # as the head of a record batch names them
PARTITIONS = 7
COPY = """def handle(event, context):
    context.publish({target!r}, event.value, headers=event.headers.pairs)
"""
NOT_IN_TEXT = "\t\n\r"  # these separate on the console


@pytest.fixture
def topic(kafka):
    return kafka.client.create_topic(retention_ms=-1)


@pytest.fixture(scope="module")
def many_clusters(kafka, tmp_path_factory):
    """A server that knows the same broker once for each codec."""
    directory = tmp_path_factory.mktemp("codecs")
    clusters = {codec: {"kafka": {"bootstrap.servers": kafka.address(), "compression.codec": codec}} for codec in CODECS}
    (directory / "hub.yaml").write_text(json.dumps({"topics": {"default": "zstd", "clusters": clusters}}), "utf-8")
    server = Server(directory / "hub", ["--config", str(directory / "hub.yaml")]).start()
    yield server
    server.close()


# ---- they send ----

@pytest.mark.parametrize("codec", CODECS)
def test_what_kcat_sends_a_pipeline_gets(kafka, hub, topic, tmp_path, seeded, codec):
    trigger = Pipeline(hub, topic, tmp_path).start()
    messages = [(b"", b"empty key"), (b"k", b""), *((some_bytes(seeded, 40), some_bytes(seeded, 900)) for _ in range(60))]
    headers = [("h", b"1"), ("h", "zwölf".encode()), ("e", b""), ("h", b"1")]
    settings = {**kafka.settings(), "compression.codec": codec}
    kcat.produce_many(settings, topic, messages, headers)
    kcat.produce(settings, topic, b"x" * 900, key=b"k", headers=[("n", None), ("n", b"1"), ("n", None)])
    kcat.produce(settings, topic, None, key=b"gone")
    trigger.wait_at(len(messages) + 2)
    assert [got(one) for one in in_order(trigger)] == [
        *((key, value, headers) for key, value in messages),
        (b"k", b"x" * 900, [("n", None), ("n", b"1"), ("n", None)]), (b"gone", None, [])]
    assert CODECS[codec] in codecs_of(kafka, topic)


@pytest.mark.parametrize("codec", CODECS)
def test_what_javas_client_sends_a_pipeline_gets(kafka, hub, topic, tmp_path, seeded, codec):
    trigger = Pipeline(hub, topic, tmp_path).start()
    headers = [("h", "1"), ("h", "zwölf"), ("e", ""), ("h", "1")]
    messages = [("", "empty key", []), ("k", "", headers), ("gone", None, headers), (None, "no key", headers),
                (None, None, []), *((some_text(seeded, 40), some_text(seeded, 900), headers) for _ in range(60))]
    java_producer.produce(kafka.address(), topic, messages, codec)
    trigger.wait_at(len(messages))
    assert [got(one) for one in in_order(trigger)] == [as_bytes(message) for message in messages]
    assert codecs_of(kafka, topic) == {CODECS[codec]}


def test_what_kafka_python_sends_a_pipeline_gets(kafka, hub, topic, tmp_path, seeded):
    trigger = Pipeline(hub, topic, tmp_path).start()
    messages = [(b"", b"", []), (b"gone", None, [("", b"")]), (None, b"\x00", []),
                *((seeded.choice([None, some_bytes(seeded, 40)]), some_bytes(seeded, 900), some_headers(seeded))
                  for _ in range(200))]
    with python_producer(kafka, compression_type="gzip") as send:
        for key, value, headers in messages:
            send(topic, value, key, headers)
    trigger.wait_at(len(messages))
    assert [got(one) for one in in_order(trigger)] == messages
    reply = hub.api("GET", f"/topics/{topic}/messages?partition=0&offset=0&limit=500", expect=200)
    assert [read_here(item) for item in reply.json["items"]] == messages
    assert CODECS["gzip"] in codecs_of(kafka, topic)


# ---- we send ----

@pytest.mark.parametrize("codec", CODECS)
def test_what_is_published_here_kcat_reads(kafka, many_clusters, topic, seeded, codec):
    messages = shapes(seeded)
    publish(many_clusters, f"{codec}/{topic}", messages)
    assert kcat.read(kafka.settings(), topic) == [message[:2] for message in messages]
    assert CODECS[codec] in codecs_of(kafka, topic)


def test_what_is_published_here_kafka_python_reads(kafka, hub, topic, seeded):
    messages = shapes(seeded)
    publish(hub, topic, messages)
    assert [record[1:4] for record in kafka.client.read(topic)] == messages


def test_what_a_pipeline_passes_on_both_read(kafka, hub, topic, seeded):
    """In their order, for they all have one key."""
    messages = [(b"\xff\x00", value, headers) for _, value, headers in shapes(seeded)]
    target = kafka.client.create_topic(retention_ms=-1)
    copy(hub, topic, target)
    publish(hub, topic, messages)
    records = poll(lambda: kafka.client.read(target), lambda found: len(found) >= len(messages))
    assert [record[1:3] for record in records] == kcat.read(kafka.settings(), target)
    assert [(record.key, record.value, theirs(record.headers)) for record in records] == messages


# ---- where a key goes ----

def test_keys_of_text_go_where_javas_client_puts_them(kafka, hub, seeded):
    """Published to the cluster, and published to the embedded log."""
    keys = ["", *{some_text(seeded, 30) for _ in range(200)} - {""}]
    java, ours = (kafka.client.create_topic(partitions=PARTITIONS) for _ in range(2))
    java_producer.produce(kafka.address(), java, [(key, "v", []) for key in keys])
    wanted = partitions_of(kafka, java)
    assert set(wanted) == {key.encode() for key in keys} and set(wanted.values()) == set(range(PARTITIONS))
    embedded = f"embedded%2F{ours}"
    hub.api("PUT", f"/topics/{embedded}", {"partitions": PARTITIONS}, expect=201)
    for name in (ours, embedded):
        places = hub.publish(name, [{"key": key, "value": 1} for key in keys])
        assert {key.encode(): partition for key, (partition, _) in zip(keys, places)} == wanted, name
    assert partitions_of(kafka, ours) == wanted


def test_keys_of_bytes_stay_where_kafka_python_put_them(kafka, hub, seeded):
    """When a pipeline passes them on to a topic with as many partitions, and when they are published."""
    keys = sorted({b"", *(some_bytes(seeded, 30) for _ in range(200))})
    source, target, ours = (kafka.client.create_topic(partitions=PARTITIONS) for _ in range(3))
    copy(hub, source, target)
    with python_producer(kafka) as send:
        for key in keys:
            send(source, b"v", key)
    wanted = partitions_of(kafka, source)
    assert set(wanted) == set(keys) and set(wanted.values()) == set(range(PARTITIONS))
    assert poll(lambda: partitions_of(kafka, target), lambda found: len(found) == len(keys)) == wanted
    publish(hub, ours, [(key, b"v", []) for key in keys])
    assert partitions_of(kafka, ours) == wanted


def test_keys_go_where_kcat_puts_them_when_it_is_told_how(kafka, hub, seeded):
    keys = sorted({b"", *(some_bytes(seeded, 30) for _ in range(200))})
    told, untold, ours = (kafka.client.create_topic(partitions=PARTITIONS) for _ in range(3))
    for topic, settings in ((told, {"partitioner": "murmur2_random"}), (untold, {})):
        kcat.produce_many({**kafka.settings(), **settings}, topic, [(key, b"v") for key in keys], partition=-1)
    publish(hub, ours, [(key, b"v", []) for key in keys])
    found = partitions_of(kafka, ours)
    assert set(found) == set(keys) and found == partitions_of(kafka, told)
    assert found != partitions_of(kafka, untold)


def test_a_key_that_all_of_them_write_at_once_is_executed_in_order(kafka, hub, tmp_path):
    topic = kafka.client.create_topic(partitions=PARTITIONS, retention_ms=-1)
    trigger = Pipeline(hub, topic, tmp_path, scaling={"max_instances": 4}).start()
    keys, count = [f"k{number}" for number in range(20)], 200

    def written_by(name):
        return [(keys[number % len(keys)], f"{name}-{number}", []) for number in range(count)]

    def kcat_writes():
        messages = [as_bytes(message)[:2] for message in written_by("kcat")]
        kcat.produce_many({**kafka.settings(), "partitioner": "murmur2_random"}, topic, messages, partition=-1)

    def kafka_python_writes():
        with python_producer(kafka) as send:
            for message in map(as_bytes, written_by("python")):
                send(topic, message[1], message[0])

    def we_write():
        for message in map(as_bytes, written_by("hub")):
            publish(hub, topic, [message])

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in [pool.submit(kcat_writes), pool.submit(kafka_python_writes), pool.submit(we_write),
                     pool.submit(java_producer.produce, kafka.address(), topic, written_by("java"))]:
            done.result()
    trigger.wait(lambda status: sum(cursors_of(status).values()) == 4 * count and lag(status) == 0, "all of them done")
    seen = trigger.seen()
    assert sorted(got(one)[1].decode() for one in seen) == sorted(
        value for name in ("kcat", "python", "hub", "java") for _, value, _ in written_by(name))
    for key in keys:
        places = [(one["partition"], one["offset"]) for one in seen if one["key"] == key]
        assert len(places) == 4 * count // len(keys) and len({partition for partition, _ in places}) == 1
        assert places == sorted(places)


# ---- inside ----

def some_bytes(chance, most):
    """Every second one repeats itself, so that batches shrink when they are compressed."""
    size = chance.randrange(most)
    return chance.randbytes(size) if chance.random() < 0.5 else chance.randbytes(1) * size


def some_text(chance, most):
    """Of one to four bytes a character."""
    borders = [(0x20, 0x7f), (0xa0, 0x7ff), (0x800, 0xd7ff), (0x10000, 0x10ffff)]
    letters = [chr(chance.randint(*chance.choice(borders))) for _ in range(chance.randrange(most // 2))]
    return "".join(letter for letter in letters if letter not in NOT_IN_TEXT) + "ab" * chance.randrange(most // 2)


def some_headers(chance):
    """A few out of few names, so that names come again; kafka-python sends none without a value."""
    return [(chance.choice(["a", "b", "ü", ""]), some_bytes(chance, 20)) for _ in range(chance.randrange(5))]


def shapes(chance):
    """Messages of every shape. A header that is published here has a name."""
    repeated = [("a", b"1"), ("b", b"\xff\x00"), ("a", None), ("a", b""), ("ü", "ü".encode()), ("a", b"1")]
    return [(b"", b"empty key", []), (b"k", b"", repeated), (b"gone", None, repeated), (None, None, []),
            (None, b"no key", repeated), (b"\x00\xff", b"\xff\x00\n\r\x00", repeated),
            *((some_bytes(chance, 40), some_bytes(chance, 900), repeated) for _ in range(60))]


def as_bytes(message):
    key, value, headers = message
    return (key if key is None else key.encode(), value if value is None else value.encode(),
            [(name, text.encode()) for name, text in headers])


def raw(shown):
    """The bytes of what the step saw as text, as bytes or not at all."""
    if shown is None:
        return None
    return bytes.fromhex(shown["bytes"]) if isinstance(shown, dict) else shown.encode()


def got(seen):
    value = None if seen["value"] is None else bytes.fromhex(seen["value"])
    return raw(seen["key"]), value, [(name, raw(header)) for name, header in seen["headers"]]


def read_here(item):
    """The bytes of a message that the API answered."""
    def content(holder, name):
        if f"{name}_base64" in holder:
            return base64.b64decode(holder[f"{name}_base64"])
        text = holder.get(f"{name}_text", holder.get(name))
        return None if text is None else text.encode() if isinstance(text, str) else json.dumps(text).encode()

    headers = item["headers"]
    pairs = headers if isinstance(headers, list) else [{"name": name, "value": text} for name, text in headers.items()]
    return content(item, "key"), content(item, "value"), [(pair["name"], content(pair, "value")) for pair in pairs]


def in_order(trigger):
    """By offset: without a key an event waits for nobody."""
    return sorted(trigger.seen(), key=lambda one: one["offset"])


def theirs(headers):
    """Without those that every output has."""
    return [(name, value) for name, value in headers if not name.startswith("dhub-")]


def codecs_of(broker, topic, partition=0):
    """How the batches of a partition are compressed, by what is on the broker's disk. Most clients leave a batch as it
    is that would not shrink."""
    [segment] = (broker.directory / "data" / f"{topic}-{partition}").glob("*.log")
    content, at, found = segment.read_bytes(), 0, set()
    while at + 23 <= len(content):
        _, length, _, _, _, attributes = struct.unpack_from(">qiibIh", content, at)
        found.add(attributes & 7)
        at += 12 + length
    return found


@contextlib.contextmanager
def python_producer(broker, **options):
    """Gives send(topic, value, key, headers), which lets kafka-python choose the partition; at the end all are stored."""
    producer = kafka_python.KafkaProducer(bootstrap_servers=broker.address(), linger_ms=200, **options)
    sent = []
    try:
        yield lambda topic, value, key=None, headers=(): sent.append(producer.send(topic, value, key, list(headers)))
        producer.flush()
        assert all(one.succeeded() for one in sent)
    finally:
        producer.close()


def publish(server, topic, messages):
    """(key, value, headers) of each, in one request."""
    def text(content):
        return None if content is None else base64.b64encode(content).decode()

    def header(name, value):
        return {"name": name} if value is None else {"name": name, "value_base64": text(value)}

    def line(key, value, headers):
        return {"headers": [header(*one) for one in headers], **({} if key is None else {"key_base64": text(key)}),
                **({"value": None} if value is None else {"value_base64": text(value)})}

    server.publish(topic.replace("/", "%2F"), [line(*message) for message in messages])


def copy(server, source, target):
    """Starts a pipeline that passes on what it gets."""
    name = f"copy-{target}"
    server.create({"id": name, "name": name, "options": {"event": source},
                   "steps": [{"name": "copy", "script": COPY.format(target=target)}]})
    poll(lambda: server.api("POST", f"/events/{name}"), lambda reply: reply.status != 503)
    server.wait_status(name, lambda status: status["ready"])


def partitions_of(broker, topic):
    """{key: the partition that it is in}"""
    return {record.key: partition for partition in range(PARTITIONS) for record in broker.client.read(topic, partition)}
