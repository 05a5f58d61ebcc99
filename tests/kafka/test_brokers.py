# SPDX-License-Identifier: Apache-2.0
"""The test brokers and the clients that look at them, tried against each other."""
import pathlib
import signal
import subprocess
import sys

import kcat
import pytest
from client import Abort, Client, kafka as kafka_python
from conftest import KAFKA4, KAFKA39

LOGINS = [("SSL", None), *((listener, mechanism) for listener in ("SASL_PLAINTEXT", "SASL_SSL")
                           for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"))]


def test_what_kafka_python_sends_kcat_reads(kafka):
    topic = kafka.client.create_topic(partitions=2)
    kafka.client.produce(topic, b"one", key=b"k", headers=[("a", b"1"), ("a", b"2")], partition=1)
    [message] = kcat.consume(kafka.settings(), topic, partition=1)
    assert (message["key"], message["payload"], message["headers"]) == ("k", "one", ["a", "1", "a", "2"])
    assert kcat.consume(kafka.settings(), topic, partition=0) == []


def test_what_kcat_sends_kafka_python_reads(kafka):
    topic = kafka.client.create_topic(partitions=2)
    kcat.produce(kafka.settings(), topic, b"two", key=b"k", headers=[("b", b"1"), ("b", None)], partition=1)
    [record] = kafka.client.read(topic, 1)
    assert record[:4] == (0, b"k", b"two", [("b", b"1"), ("b", None)])


def test_shapes_of_messages_come_back(kafka):
    topic = kafka.client.create_topic()
    sent = [(b"key", None, []), (None, None, []), (b"", b"", []), (None, b"x", [("n", None), ("n", b"")])]
    offsets = [kafka.client.produce(topic, value, key, headers) for key, value, headers in sent]
    assert offsets == [0, 1, 2, 3]
    assert [record[1:4] for record in kafka.client.read(topic)] == sent


def test_committed_and_aborted_transactions(kafka):
    topic = kafka.client.create_topic()
    with kafka.client.transaction() as send:
        send(topic, b"kept")
    with kafka.client.transaction() as send:
        send(topic, b"dropped")
        raise Abort
    kafka.client.produce(topic, b"plain")
    assert [record.value for record in kafka.client.read(topic, committed=True)] == [b"kept", b"plain"]
    assert [record.value for record in kafka.client.read(topic)] == [b"kept", b"dropped", b"plain"]


def test_an_open_transaction_hides_what_comes_after_it(kafka):
    topic = kafka.client.create_topic()
    with kafka.client.transaction() as send:
        send(topic, b"open")
        kafka.client.produce(topic, b"after")
        assert kafka.client.read(topic, committed=True) == []
    assert [record.value for record in kafka.client.read(topic, committed=True)] == [b"open", b"after"]


def test_topics_grow_shrink_and_come_again(kafka):
    client = kafka.client
    topic = client.create_topic(cleanup_policy="delete", retention_ms=-1)
    first = client.topic_id(topic)
    assert client.produce_many(topic, [b"1", b"2", b"3"]) == [0, 1, 2]
    client.delete_records(topic, before=2)
    assert (client.start_offset(topic), client.end_offset(topic)) == (2, 3)
    assert [record.offset for record in client.read(topic)] == [2]
    client.add_partitions(topic, 3)
    assert client.produce(topic, b"4", partition=2) == 0
    client.delete_topic(topic)
    client.create_topic(topic)
    assert client.topic_id(topic) != first
    assert client.end_offset(topic) == 0


def test_group_offsets_are_seen(kafka):
    topic = kafka.client.create_topic()
    kafka.client.produce_many(topic, [b"1", b"2"])
    consumer = kafka_python.KafkaConsumer(bootstrap_servers=kafka.address(), group_id=f"g-{topic}", enable_auto_commit=False)
    where = kafka_python.TopicPartition(topic, 0)
    consumer.assign([where])
    consumer.commit({where: kafka_python.OffsetAndMetadata(2, "", -1)})
    consumer.close()
    assert kafka.client.group_offsets(f"g-{topic}") == {(topic, 0): 2}


def test_messages_survive_a_kill_and_an_end(brokers, version):
    broker = brokers(version)
    topic = broker.client.create_topic()
    address = broker.address()
    broker.client.produce(topic, b"before the kill")
    broker.kill9()
    assert not broker.running()
    broker.start()
    broker.client.produce(topic, b"after the kill")
    assert broker.terminate() == 128 + signal.SIGTERM
    broker.start()
    assert broker.address() == address
    assert [record.value for record in broker.client.read(topic)] == [b"before the kill", b"after the kill"]


def test_a_paused_broker_answers_again(brokers):
    broker = brokers(KAFKA4)
    topic = broker.client.create_topic()
    broker.pause()
    with pytest.raises(kcat.KcatError):
        kcat.produce(broker.settings(), topic, b"lost", timeout=2)
    broker.resume()
    assert broker.client.produce(topic, b"kept") >= 0


@pytest.mark.parametrize("listener, mechanism", LOGINS)
def test_logins_by_kafka_python(kafka, listener, mechanism):
    topic = kafka.client.create_topic()
    client = Client(kafka.settings(listener, mechanism))
    assert client.produce(topic, b"in") == 0
    assert [record.value for record in client.read(topic)] == [b"in"]
    client.close()


@pytest.mark.parametrize("listener, mechanism", LOGINS)
def test_logins_by_kcat(kafka, listener, mechanism):
    topic = kafka.client.create_topic()
    settings = kafka.settings(listener, mechanism)
    if kafka.version == KAFKA4 and (mechanism or "").startswith("SCRAM"):
        # The reason why dhub brings its own librdkafka. When this fails, the distribution's has become good enough.
        with pytest.raises(kcat.KcatError):
            kcat.produce(settings, topic, b"in", timeout=4)
        return
    kcat.produce(settings, topic, b"in")
    assert [message["payload"] for message in kcat.consume(settings, topic)] == ["in"]


@pytest.mark.parametrize("listener, user, change", [
    ("SASL_SSL", "alice", {"sasl.mechanism": "PLAIN", "sasl.password": "wrong"}),
    ("SASL_PLAINTEXT", "alice", {"sasl.mechanism": "PLAIN", "sasl.username": "nobody"}),
    ("SSL", "stranger", {}),
])
def test_who_is_not_known_is_refused(kafka, listener, user, change):
    topic = kafka.client.create_topic()
    settings = {**kafka.settings(listener, user=user), **change}
    with pytest.raises(kcat.KcatError):
        kcat.produce(settings, topic, b"in", timeout=4)
    assert kafka.client.end_offset(topic) == 0


def test_rights_are_lost_and_given_back(kafka):
    topic = kafka.client.create_topic()
    kafka.client.produce(topic, b"in")
    alice = kafka.settings("SASL_PLAINTEXT", "PLAIN")
    assert len(kcat.consume(alice, topic)) == 1
    kafka.client.deny("alice", topic)
    with pytest.raises(kcat.KcatError):
        kcat.consume(alice, topic, timeout=4)
    kafka.client.allow_again(topic)
    assert len(kcat.consume(alice, topic)) == 1


def test_a_broker_ends_with_the_process_that_started_it(tmp_path):
    here = pathlib.Path(__file__).parent
    program = ("import os, sys; sys.path.insert(0, sys.argv[1]); from broker import Broker; "
               f"b = Broker({KAFKA39!r}, sys.argv[2]).start(); print(b.process.pid, flush=True); os.kill(os.getpid(), 9)")
    done = subprocess.run([sys.executable, "-c", program, here, tmp_path], stdin=subprocess.DEVNULL, capture_output=True,
                          check=False, timeout=60)
    pid = int(done.stdout)
    gone = subprocess.run(["tail", f"--pid={pid}", "-f", "/dev/null"], check=False, timeout=20)
    assert gone.returncode == 0
