# SPDX-License-Identifier: Apache-2.0
"""Offsets without a record: deleted, expired, aborted, compacted. Each has a final state, and the trigger goes on."""
import time

import pytest
from client import Abort
from hub import Pipeline, counts, cursors_of, kafka_server, lag, poll


@pytest.fixture(scope="module")
def hub(kafka, tmp_path_factory):
    """As the others', but it fetches little ahead: what it holds already when the log loses it, is still executed."""
    server = kafka_server(tmp_path_factory.mktemp("hub"), kafka, queued_max_messages_kbytes=1,
                          fetch_message_max_bytes=1024).start()
    yield server
    server.close()


@pytest.fixture
def topic(kafka):
    return kafka.client.create_topic(cleanup_policy="delete", retention_ms=-1)


@pytest.fixture
def trigger(hub, topic, tmp_path):
    return Pipeline(hub, topic, tmp_path)


# ---- deleted ----

def produce_one_by_one(kafka, topic, count, **more):
    for number in range(count):
        kafka.client.produce(topic, f"{number}".encode() * 300, **more)


def assert_expired_and_told(trigger, status, start, end):
    """Of what lay beyond the cursor when the log lost it, the first may have been fetched before; no other is executed,
    each has its final state."""
    executed = trigger.offsets()
    expired = [offset for offset in range(end) if offset not in executed]
    assert len(expired) >= 10 and expired == list(range(expired[0], start))
    assert trigger.states(range(end)) == ["succeeded" if offset in executed else "expired" for offset in range(end)]
    assert counts(status)["expired"] == trigger.metric("expired") == len(expired)
    assert status["ready"] and "events expired" in trigger.server.log_tail()


def test_records_deleted_below_the_cursor_do_no_harm(kafka, trigger, topic):
    trigger.start()
    kafka.client.produce_many(topic, [b"0", b"1", b"2"])
    trigger.wait_at(3)
    kafka.client.delete_records(topic, before=2)
    kafka.client.produce(topic, b"3")
    trigger.wait_at(4)
    kafka.client.delete_records(topic, before=4)  # right up to it
    kafka.client.produce(topic, b"4")
    status = trigger.wait_at(5)
    assert trigger.values() == ["0", "1", "2", "3", "4"]
    assert trigger.states(range(5)) == ["succeeded"] * 5
    assert status["ready"] and counts(status)["expired"] == 0


def test_records_deleted_beyond_the_cursor_of_a_paused_trigger_are_expired(kafka, trigger, topic):
    trigger.start()
    kafka.client.produce_many(topic, [b"0", b"1"])
    trigger.wait_at(2)
    trigger.pause()
    produce_one_by_one(kafka, topic, 20)
    kafka.client.delete_records(topic, before=20)
    trigger.resume()
    status = trigger.wait_at(22)
    assert_expired_and_told(trigger, status, start=20, end=22)
    trigger.wait_group(kafka, 22)


def test_retention_that_passes_a_paused_trigger_is_told(kafka, hub, tmp_path):
    topic = kafka.client.create_topic(cleanup_policy="delete", retention_ms=60000, segment_ms=1000)
    trigger = Pipeline(hub, topic, tmp_path).start()
    trigger.pause()
    yesterday = int(time.time() * 1000) - 24 * 3600 * 1000
    for number in range(20):  # by their times, each begins a segment
        kafka.client.produce(topic, b"old" * 300, timestamp=yesterday + 2000 * number)
    kafka.client.produce(topic, b"young")
    poll(lambda: kafka.client.start_offset(topic), lambda start: start == 20)
    trigger.resume()
    status = trigger.wait_at(21)
    assert_expired_and_told(trigger, status, start=20, end=21)
    assert trigger.values()[-1] == "young"


def test_records_deleted_while_the_server_is_down_are_expired(kafka, own_hub, topic, tmp_path):
    trigger = Pipeline(own_hub, topic, tmp_path).start()
    kafka.client.produce_many(topic, [b"0", b"1"])
    trigger.wait_at(2)
    assert own_hub.terminate() == 0
    kafka.client.produce_many(topic, [b"2", b"3", b"4"])
    kafka.client.delete_records(topic, before=5)
    own_hub.start()
    status = trigger.wait_at(5)
    assert trigger.values() == ["0", "1"]
    assert trigger.states(range(5)) == ["succeeded"] * 2 + ["expired"] * 3
    assert counts(status)["expired"] == 3
    kafka.client.produce(topic, b"5")
    trigger.wait_at(6)
    assert trigger.values() == ["0", "1", "5"]


# ---- transactions ----

def test_only_what_was_committed_is_executed(kafka, trigger, topic, seeded):
    trigger.start()
    committed = []
    for number in range(12):
        values = [f"{number}/{at}".encode() for at in range(seeded.randrange(1, 4))]
        keep = number % 2 == 0
        with kafka.client.transaction() as send:
            for value in values:
                send(topic, value, key=b"k")
            if not keep:
                raise Abort
        committed += [value.decode() for value in values] if keep else []
    end = kafka.client.end_offset(topic)
    status = trigger.wait_at(end)  # the last are aborted records and the mark that aborts them
    assert trigger.values() == committed
    assert counts(status)["succeeded"] == len(committed) and counts(status)["expired"] == 0
    assert trigger.state(end - 1) == "absent"
    states = trigger.states(range(end))
    assert [offset for offset, state in enumerate(states) if state == "succeeded"] == trigger.offsets()
    assert set(states) == {"succeeded", "absent"}
    trigger.wait_group(kafka, end)


def test_a_backlog_of_aborted_transactions_is_passed(kafka, trigger, topic):
    for _ in range(3):
        with kafka.client.transaction() as send:
            send(topic, b"dropped")
            raise Abort
    end = poll(lambda: kafka.client.end_offset(topic), lambda found: found == 6)  # marks are written a little later
    trigger.start("?from=earliest")
    status = trigger.wait_at(end)
    assert trigger.values() == [] and counts(status)["expired"] == 0
    kafka.client.produce(topic, b"kept")
    trigger.wait_at(end + 1)
    assert trigger.values() == ["kept"]


def test_an_open_transaction_holds_back_what_is_behind_it(kafka, hub, tmp_path):
    topic = kafka.client.create_topic(partitions=2)
    trigger = Pipeline(hub, topic, tmp_path).start()
    with kafka.client.transaction() as send:
        send(topic, b"open")
        kafka.client.produce(topic, b"behind it")
        for number in range(3):  # whoever sees these has asked for the others too
            kafka.client.produce(topic, b"beside it", partition=1)
            status = trigger.wait(lambda s, n=number: cursors_of(s)[1] == n + 1, "the other partition")
        assert trigger.values(partition=0) == []
        assert status["ready"] and lag(status) == 0
    trigger.wait_at(3, 3)
    assert trigger.values(partition=0) == ["open", "behind it"]


# ---- compaction ----

def test_a_compacted_topic_is_read_to_its_end(kafka, hub, tmp_path):
    topic = kafka.client.create_topic(cleanup_policy="compact", segment_ms=1000, min_cleanable_dirty_ratio="0.01",
                                      max_compaction_lag_ms=1, delete_retention_ms=24 * 3600 * 1000)
    began = int(time.time() * 1000) - 3600 * 1000
    for number in range(30):  # by their times, each begins a segment
        kafka.client.produce(topic, f"{number}".encode(), key=f"k{number % 3}".encode(), timestamp=began + 2000 * number)
    kafka.client.produce(topic, None, key=b"k0", timestamp=began + 70000)
    kafka.client.produce(topic, b"last", key=b"k3")
    left = poll(lambda: [record.offset for record in kafka.client.read(topic)], lambda offsets: len(offsets) == 4)
    trigger = Pipeline(hub, topic, tmp_path).start("?from=earliest")
    status = trigger.wait_at(32)
    assert sorted(trigger.offsets()) == left == [28, 29, 30, 31]
    assert [one["value"] for one in trigger.seen() if one["offset"] == 30] == [None]
    assert trigger.states(range(32)) == ["absent"] * 28 + ["succeeded"] * 4
    assert counts(status)["expired"] == 0
    trigger.wait_group(kafka, 32)


def test_a_tombstone_is_an_event_without_a_value(kafka, hub, tmp_path):
    topic = kafka.client.create_topic(cleanup_policy="compact")
    trigger = Pipeline(hub, topic, tmp_path).start()
    kafka.client.produce(topic, b"something", key=b"k")
    kafka.client.produce(topic, None, key=b"k")
    trigger.wait_at(2)
    assert trigger.values() == ["something", None]
    assert trigger.seen()[1]["key"] == "k" and trigger.seen()[1]["data"] is None
