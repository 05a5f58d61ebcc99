# SPDX-License-Identifier: Apache-2.0
"""A cluster that is away, that hangs, that refuses: what the server tells meanwhile, and that it goes on by itself."""
import concurrent.futures

import pytest
from client import ACLOperation
from conftest import KAFKA4
from hub import Pipeline, counts, group_offsets, kafka_server, poll, source


@pytest.fixture
def server_of(tmp_path):
    """Makes servers, not started, on a broker: server_of(broker, librdkafka_property=...)."""
    made = []

    def make(broker, **settings):
        made.append(kafka_server(tmp_path, broker, f"hub-{len(made)}", **settings))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def broker(brokers):
    return brokers(KAFKA4)


@pytest.fixture
def server(server_of, broker):
    return server_of(broker).start()


@pytest.fixture
def topic(broker):
    return broker.client.create_topic()


def is_ready(trigger):
    return trigger.server.api("GET", f"/events/{trigger.id}", expect=200).json == {"ready": True}


def publish(server, topic, body):
    return server.api("POST", f"/topics/{topic}/messages", body, headers={"Content-Type": "application/octet-stream"})


def wait_told(broker, name, topic, cursor):
    poll(lambda: group_offsets(broker, f"dhub.{name}"), lambda found: found == {(topic, 0): cursor})


def assert_try_again(reply):
    assert reply.status == 503 and int(reply.headers["Retry-After"]) > 0, reply


# ---- away ----

def test_a_server_starts_without_its_broker_and_goes_on_when_it_comes(brokers, version, server_of, tmp_path):
    broker = brokers(version)
    topic = broker.client.create_topic()
    server = server_of(broker).start()
    trigger = Pipeline(server, topic, tmp_path).start()
    broker.client.produce(topic, b"before")
    trigger.wait_at(1)
    assert server.terminate() == 0
    broker.kill9()
    server.start()
    condition = trigger.wait_source("LogUnreachable")
    assert "by itself" in condition["next_action"] and not is_ready(trigger)
    trigger.wait(lambda s: broker.address() in source(s)["message"], "the address that does not answer")
    broker.start()
    broker.client.produce(topic, b"after")
    trigger.wait_at(2)
    trigger.wait(lambda s: s["ready"], "a ready trigger")
    assert trigger.values() == ["before", "after"] and is_ready(trigger)


def test_a_first_start_waits_for_the_broker(broker, topic, server_of, tmp_path):
    broker.kill9()
    server = server_of(broker, message_timeout_ms=3000).start()
    trigger = Pipeline(server, topic, tmp_path)
    assert_try_again(server.api("POST", f"/events/{trigger.id}"))
    assert_try_again(publish(server, topic, b"x"))
    assert_try_again(server.api("GET", f"/topics/{topic}"))
    assert_try_again(server.api("GET", f"/topics/{topic}/messages?partition=0&offset=0"))
    assert not is_ready(trigger)
    broker.start()
    trigger.start()
    broker.client.produce(topic, b"x")
    trigger.wait_at(1)


@pytest.mark.parametrize("way", ["away", "hung"])
def test_a_broker_that_is_gone_for_a_while_costs_nothing(brokers, version, way, server_of, tmp_path):
    """Longer than a session of the broker, which ends after 1.5 s; what is at hand is executed meanwhile."""
    broker = brokers(version)
    topic = broker.client.create_topic()
    trigger = Pipeline(server_of(broker).start(), topic, tmp_path).start()
    broker.client.produce_many(topic, [b"%d" % n for n in range(500)], keys=[b"k"] * 500)
    trigger.wait(lambda s: counts(s)["succeeded"] > 20, "some executions")
    broker.kill9() if way == "away" else broker.pause()
    trigger.wait_source("LogUnreachable")
    assert not is_ready(trigger)
    broker.start() if way == "away" else broker.resume()
    trigger.wait(lambda s: s["ready"], "a ready trigger")
    broker.client.produce(topic, b"500", key=b"k")
    trigger.wait_at(501)
    assert trigger.values() == [str(n) for n in range(501)]
    trigger.wait_group(broker, 501)


def test_an_outage_holds_up_no_pipeline_of_the_embedded_log(broker, server, topic, tmp_path):
    there, here = Pipeline(server, topic, tmp_path), Pipeline(server, "embedded/orders", tmp_path)
    there.start()
    here.start()
    broker.pause()
    there.wait_source("LogUnreachable")
    server.publish("embedded%2Forders", [{"value": n} for n in range(50)])
    here.wait_at(50)
    assert is_ready(here) and not is_ready(there)
    there.stop()
    assert_try_again(server.api("POST", f"/events/{there.id}"))
    broker.resume()
    there.start()
    broker.client.produce(topic, b"after")
    there.wait_at(1)


def test_groups_that_wait_to_be_told_do_not_keep_the_truth_back(broker, server, topic):
    """The broker hangs when the first has been told: each would wait for 4 s, and the status for all of them."""
    names = [f"p{n:02}" for n in range(60)]
    for name in names:
        server.create({"id": name, "name": name, "options": {"event": topic}, "steps": []})
        server.start_trigger(name)
    for name in names:
        server.wait_status(name, lambda s: s["ready"])
    for cursor in (1, 2):
        broker.client.produce(topic, b"x")
        wait_told(broker, names[0], topic, cursor)
        broker.pause()
        server.wait_status(names[-1], lambda s: source(s)["reason"] == "LogUnreachable")
        broker.resume()
        for name in names:
            wait_told(broker, name, topic, cursor)


# ---- ending meanwhile ----

@pytest.mark.parametrize("way", ["away", "hung"])
def test_a_server_ends_while_its_broker_is_gone(broker, server, topic, tmp_path, way):
    """With groups that wait to be told, and with messages that wait to go out."""
    topics = [topic] + [broker.client.create_topic() for _ in range(19)]
    triggers = [Pipeline(server, name, tmp_path).start() for name in topics]
    assert publish(server, topic, b"there").status == 202
    for name in topics:
        broker.client.produce_many(name, [b"x"] * 50)
    for trigger in triggers:
        trigger.wait(lambda s: counts(s)["succeeded"] >= 5, "some executions")
    broker.kill9() if way == "away" else broker.pause()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = [pool.submit(publish, server, topic, b"late") for _ in range(4)]
        assert server.terminate() == 0
        for answer in asked:
            assert answer.exception() or answer.result().status in (202, 503)
    assert "does not close" not in server.log_tail()


# ---- publishing ----

@pytest.mark.parametrize("way", ["away", "hung"])
def test_publishing_meanwhile_is_answered_with_try_again(broker, topic, server_of, way):
    server = server_of(broker, message_timeout_ms=3000).start()
    assert publish(server, topic, b"0").status == 202
    broker.kill9() if way == "away" else broker.pause()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        for reply in pool.map(lambda _: publish(server, topic, b"lost"), range(20)):
            assert_try_again(reply)
    broker.start() if way == "away" else broker.resume()
    reply = poll(lambda: publish(server, topic, b"1"), lambda answer: answer.status != 503)
    assert reply.status == 202
    values = [record.value for record in broker.client.read(topic)]
    assert values[0] == b"0" and values[-1] == b"1"


def test_many_who_publish_to_topics_that_nobody_has_seen_do_not_wait_for_each_other(broker, server):
    """Each would wait for 4 s; a call is given up after 60."""
    broker.pause()
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        for reply in pool.map(lambda n: publish(server, f"unseen-{n}", b"x"), range(30)):
            assert_try_again(reply)
    broker.resume()
    poll(lambda: publish(server, "unseen-0", b"x"), lambda answer: answer.status == 404)


def test_a_full_queue_takes_no_more(broker, topic, server_of):
    """8 MiB fit into it. Whoever finds it full is told so at once, while the others still wait for the broker."""
    server = server_of(broker, queue_buffering_max_kbytes=8192).start()
    assert publish(server, topic, b"first").status == 202
    broker.pause()
    big = b"x" * 900_000
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        asked = [pool.submit(publish, server, topic, big) for _ in range(100)]
        poll(lambda: [one.result() for one in asked if one.done()], lambda found: len(found) >= 90)
        refused = [one.result() for one in asked if one.done()]
        broker.resume()
        taken = [one.result().status for one in asked].count(202)
    for reply in refused:
        assert_try_again(reply)
        assert "queue" in reply.json["detail"].lower()
    assert 0 < taken <= 100 - len(refused) and taken * len(big) <= 8 << 20
    assert [len(record.value) for record in broker.client.read(topic)] == [5] + [len(big)] * taken
    assert publish(server, topic, big).status == 202


def test_a_message_too_large_for_its_topic_is_refused(kafka, hub):
    topic = kafka.client.create_topic(max_message_bytes=1000)
    reply = publish(hub, topic, b"x" * 5000)
    assert reply.status == 413 and "max.message.bytes" in reply.json["detail"], reply
    assert publish(hub, topic, b"x" * 500).status == 202


def test_outputs_too_large_for_their_topic_are_told_and_wait(kafka, hub):
    out, source = kafka.client.create_topic(max_message_bytes=1000), kafka.client.create_topic()
    name = f"p-{source}"
    hub.create({"id": name, "name": name, "options": {"event": source},
                "steps": [{"name": "s", "script": "def handle(event):\n    return 'x' * event.data\n",
                           "outputs": {"result": {"topic": out}}}]})
    hub.start_trigger(name, "?from=earliest")
    kafka.client.produce_many(source, [b"5000", b"10"], keys=[b"k"] * 2)
    poll(lambda: hub.call("GET", "/readyz?verbose").body.decode(),
         lambda text: f"outputs to main/{out}" in text and "max.message.bytes" in text)
    status = hub.status(name)
    assert status["ready"] and status["conditions"][-1]["type"] == "Outputs", status["conditions"]
    assert out in status["conditions"][-1]["message"]
    kafka.client.set_topic(out, max_message_bytes=100_000)
    values = poll(lambda: [len(record.value) for record in kafka.client.read(out)], lambda found: len(found) == 2)
    assert values == [5000, 10]
    hub.wait_status(name, lambda s: all(condition["ok"] for condition in s["conditions"]))


# ---- rights ----

@pytest.fixture
def as_alice(kafka, server_of):
    """A server that logs in, on a broker whose rules count for who logs in."""
    login = {name.replace(".", "_"): value for name, value in kafka.settings("SASL_PLAINTEXT").items()}
    return server_of(kafka, **login).start()


@pytest.mark.parametrize("operation", [ACLOperation.READ, ACLOperation.DESCRIBE])
def test_rights_that_are_taken_away_and_given_back(kafka, as_alice, tmp_path, operation):
    topic = kafka.client.create_topic()
    trigger = Pipeline(as_alice, topic, tmp_path).start()
    kafka.client.produce(topic, b"before")
    trigger.wait_at(1)
    kafka.client.deny("alice", topic, operation)
    kafka.client.produce(topic, b"meanwhile")
    condition = trigger.wait_source("NotAuthorized")
    assert topic in condition["message"] and not is_ready(trigger)
    kafka.client.allow_again(topic)
    trigger.wait(lambda s: s["ready"], "a ready trigger")
    kafka.client.produce(topic, b"after")
    trigger.wait_at(3)
    assert trigger.values() == ["before", "meanwhile", "after"]


def test_publishing_without_the_right_to_is_refused(kafka, as_alice):
    topic = kafka.client.create_topic()
    kafka.client.deny("alice", topic, ACLOperation.WRITE)
    reply = poll(lambda: publish(as_alice, topic, b"x"), lambda answer: answer.status != 202)
    assert reply.status == 403 and topic in reply.json["detail"], reply
    kafka.client.allow_again(topic)
    poll(lambda: publish(as_alice, topic, b"y"), lambda answer: answer.status == 202)
