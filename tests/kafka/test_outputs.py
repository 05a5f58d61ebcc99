# SPDX-License-Identifier: Apache-2.0
"""What steps publish to topics of a cluster gets there, whatever is killed meanwhile."""
import collections
import json
import os
import random
import secrets

import pytest
from conftest import KAFKA4
from hub import Server, poll

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STEP = """def handle(event, context):
    context.publish({topic!r}, {{"n": event.data["n"]}}, headers={{"kind": "first"}})
    context.publish({topic!r}, {{"n": event.data["n"], "again": True}})
"""


@pytest.fixture
def beside(tmp_path):
    """Makes servers whose plain topics are embedded and that know the broker as `kafka`."""
    made = []

    def make(broker):
        made.append(Server(tmp_path / "hub", [], {"DHUB_KAFKA_BOOTSTRAP_SERVERS": broker.address(),
                                                  "DHUB_TOPICS_DEFAULT": "embedded"}).start())
        return made[-1]

    yield make
    for server in made:
        server.close()


def pipeline(name, source, script, outputs=None, **options):
    step = {"name": "s", "script": script, **({"outputs": outputs} if outputs else {})}
    return {"id": name, "name": name, "options": {"event": source, **options}, "steps": [step]}


def headers_of(record):
    return {name: value.decode() for name, value in record.headers}


def test_outputs_carry_key_headers_lineage_and_trace(kafka, beside):
    """From the embedded log and from the cluster itself."""
    out, source = kafka.client.create_topic(), kafka.client.create_topic()
    server = beside(kafka)
    server.create(pipeline("ours", "orders", STEP.format(topic=f"kafka/{out}")))
    server.create(pipeline("theirs", f"kafka/{source}", STEP.format(topic=f"kafka/{out}")))
    server.start_trigger("ours")
    server.start_trigger("theirs", "?from=earliest")
    server.publish("orders", [{"key": "k", "value": {"n": 1}, "headers": {"traceparent": TRACE}}])
    kafka.client.produce(source, b'{"n": 2}', key=b"\xff\x00", headers=[("traceparent", TRACE.encode())])
    records = wait_records(kafka.client, out, 4)
    for key, origin, n in ((b"k", "orders/0/0", 1), (b"\xff\x00", f"kafka/{source}/0/0", 2)):
        of_one = [record for record in records if record.key == key]
        assert [json.loads(record.value) for record in of_one] == [{"n": n}, {"n": n, "again": True}]
        assert [headers_of(record) for record in of_one] == [
            {"kind": "first", "traceparent": TRACE, "dhub-hops": "1", "dhub-origin": f"{origin}/0"},
            {"traceparent": TRACE, "dhub-hops": "1", "dhub-origin": f"{origin}/1"}]


def test_dead_letters_are_copied_to_a_topic_of_the_cluster(kafka, beside):
    letters = kafka.client.create_topic()
    server = beside(kafka)
    server.create(pipeline("p", "orders", "def handle(event):\n    raise ValueError('no')\n",
                           retry={"max_attempts": 1}, dead_letter={"topic": f"kafka/{letters}"}))
    server.start_trigger("p")
    server.publish("orders", [{"key": "k", "value": {"n": 1}}])
    [record] = wait_records(kafka.client, letters, 1)
    assert (record.key, json.loads(record.value)) == (b"k", {"n": 1})
    assert headers_of(record) == {"dhub-hops": "1", "dhub-origin": "orders/0/0/dead", "dhub-error": "ValueError: no"}


def test_a_missing_topic_holds_no_other_up_and_gets_its_outputs_when_it_is_there(kafka, beside):
    out = kafka.client.create_topic()
    missing = f"{out}-later"
    server = beside(kafka)
    server.create(pipeline("p", "orders", "def handle(event, context):\n"
                           f"    context.publish('kafka/{missing}', 'a')\n    context.publish('kafka/{out}', 'b')\n"))
    server.start_trigger("p")
    server.publish("orders", [{"value": 1}])
    assert [record.value for record in wait_records(kafka.client, out, 1)] == [b"b"]
    poll(lambda: readiness(server), lambda text: f"outputs to kafka/{missing}" in text)
    kafka.client.create_topic(missing)
    assert [record.value for record in wait_records(kafka.client, missing, 1)] == [b"a"]
    poll(lambda: readiness(server), lambda text: "outputs to" not in text)


def test_killed_servers_and_brokers_lose_no_output(brokers, beside):
    """Every event's output arrives; what arrives again has the same origin; the first arrivals keep the order of the
    key."""
    seed = os.environ.get("DHUB_TEST_SEED") or str(secrets.randbits(32))
    print(f"DHUB_TEST_SEED={seed}")
    chance = random.Random(seed)
    count, keys = 3000, 20
    broker = brokers(KAFKA4)
    out = broker.client.create_topic()
    server = beside(broker)
    server.create(pipeline("p", "orders", "def handle(event):\n    return event.data\n", scaling={"max_instances": 2},
                           outputs={"result": {"topic": f"kafka/{out}"}}))
    server.start_trigger("p")
    for first in range(0, count, 500):
        server.publish("orders", [{"key": f"k{n % keys}", "value": n} for n in range(first, first + 500)])
        some = first + chance.randrange(500)
        server.wait_status("p", lambda s: s["partitions"][0]["cursor"] >= some)
        victims = chance.choice([["broker"], ["server"], ["broker", "server"], ["server", "broker"]])
        for victim in victims:
            broker.kill9() if victim == "broker" else server.kill()
        for victim in victims:
            (broker if victim == "broker" else server).start()
    server.wait_drained("p")
    records = poll(lambda: broker.client.read(out), lambda found: len({record.value for record in found}) == count)
    origins, arrived = collections.defaultdict(set), {}
    for record in records:
        origins[int(record.value)].add(headers_of(record)["dhub-origin"])
        arrived.setdefault(int(record.value), record.offset)
    assert all(len(found) == 1 for found in origins.values())
    assert len(set().union(*origins.values())) == count
    for key in range(keys):
        offsets = [arrived[n] for n in range(key, count, keys)]
        assert offsets == sorted(offsets)
    print(f"{len(records) - count} of {count} outputs arrived twice")


def readiness(server):
    reply = server.call("GET", "/readyz?verbose")
    assert reply.status == 200, reply
    return reply.body.decode()


def wait_records(client, topic, count):
    return poll(lambda: client.read(topic), lambda records: len(records) >= count)
