# SPDX-License-Identifier: Apache-2.0
"""What happens to topics in Kafka while triggers listen on them, and what dhub makes of it."""
import shutil

import pytest
from hub import Pipeline, cursors_of, group_offsets, kafka_server, poll


@pytest.fixture
def topic(kafka):
    return kafka.client.create_topic()


@pytest.fixture
def trigger(hub, topic, tmp_path):
    """Has executed three messages of the topic."""
    return Pipeline(hub, topic, tmp_path)


def test_a_trigger_starts_as_soon_as_its_topic_is_there(kafka, hub, tmp_path):
    for n in range(20):
        trigger = Pipeline(hub, f"fresh-{kafka.major}-{n}", tmp_path)
        kafka.client.admin.create_topics({trigger.topic: {"num_partitions": 5, "replication_factor": 1}},
                                         wait_for_metadata=False)
        hub.api("POST", f"/events/{trigger.id}", expect=200)


def test_a_topic_that_is_deleted_is_gone(kafka, trigger, topic):
    trigger.start()
    kafka.client.produce_many(topic, [b"0", b"1", b"2"])
    trigger.wait_at(3)
    kafka.client.delete_topic(topic)
    condition = trigger.wait_source("TopicGone")
    assert topic in condition["message"] and "start the trigger again" in condition["next_action"]
    assert trigger.server.api("GET", f"/events/{trigger.id}").json == {"ready": False}


def test_a_topic_that_is_made_again_is_another(kafka, trigger, topic):
    trigger.start()
    kafka.client.produce_many(topic, [b"0", b"1", b"2"])
    trigger.wait_at(3)
    kafka.client.delete_topic(topic)
    trigger.wait_source("TopicGone")
    kafka.client.create_topic(topic)
    kafka.client.produce_many(topic, [b"new 0", b"new 1", b"new 2", b"new 3", b"new 4"])
    trigger.wait_source("TopicReplaced")
    assert trigger.values() == ["0", "1", "2"]
    trigger.start("?from=earliest")
    trigger.wait_at(5)
    assert trigger.values() == ["0", "1", "2", "new 0", "new 1", "new 2", "new 3", "new 4"]
    kafka.client.produce(topic, b"new 5")
    trigger.wait_at(6)


@pytest.mark.parametrize("before", [0, 2, 300])
def test_a_topic_that_is_replaced_at_once_is_another(kafka, hub, topic, tmp_path, before):
    triggers = [Pipeline(hub, topic, tmp_path).start() for _ in range(2)]  # who read from one stream
    kafka.client.produce_many(topic, [b"old"] * before)
    for trigger in triggers:
        trigger.wait_at(before)
    replace_topic(kafka, topic, [b"new"] * 200)
    for trigger in triggers:
        trigger.wait_source("TopicReplaced")
        assert trigger.values() == ["old"] * before


def replace_topic(kafka, topic, values):
    kafka.client.delete_topic(topic)
    kafka.client.create_topic(topic)
    kafka.client.produce_many(topic, values)


def test_a_topic_that_went_while_the_server_was_down_is_gone(kafka, own_hub, topic, tmp_path):
    trigger = Pipeline(own_hub, topic, tmp_path).start()
    assert own_hub.terminate() == 0
    kafka.client.delete_topic(topic)
    own_hub.start()
    trigger.wait_source("TopicGone")


@pytest.mark.parametrize("new", [1, 50])
def test_a_topic_that_was_replaced_while_the_server_was_down_is_another(kafka, own_hub, topic, tmp_path, new):
    trigger = Pipeline(own_hub, topic, tmp_path).start()
    kafka.client.produce_many(topic, [b"old"] * 10)
    trigger.wait_at(10)
    assert own_hub.terminate() == 0
    replace_topic(kafka, topic, [b"new"] * new)
    own_hub.start()
    condition = trigger.wait_source("TopicReplaced")
    assert "Start the trigger again" in condition["next_action"]
    assert trigger.values() == ["old"] * 10
    trigger.start("?from=earliest")
    trigger.wait_at(new)
    assert trigger.values() == ["old"] * 10 + ["new"] * new


def test_a_start_after_a_stop_begins_anew_on_the_topic_that_has_the_name(kafka, trigger, topic):
    trigger.start()
    kafka.client.produce_many(topic, [b"old"] * 10)
    trigger.wait_at(10)
    trigger.stop()
    replace_topic(kafka, topic, [b"passed"] * 3)
    trigger.start()  # nothing is committed on this topic, so it begins at its end
    kafka.client.produce_many(topic, [b"new"] * 20)
    trigger.wait_at(23)
    assert trigger.values() == ["old"] * 10 + ["new"] * 20
    assert trigger.state(0) == "skipped" and trigger.state(22) == "succeeded"


def test_the_group_of_a_replaced_topic_is_not_told_the_old_cursors(kafka, trigger, topic):
    trigger.start()
    kafka.client.produce_many(topic, [b"old"] * 10)
    trigger.wait_group(kafka, 10)
    kafka.client.produce_many(topic, [b"old"] * 10)
    trigger.wait(lambda s: cursors_of(s) == {0: 20}, "the second half")
    replace_topic(kafka, topic, [b"new"])  # before the group has heard of it
    trigger.wait_source("TopicReplaced")
    trigger.start("?from=earliest")
    trigger.wait_at(1)
    told = []
    poll(lambda: told.append(group_offsets(kafka, f"dhub.{trigger.id}")) or told[-1], lambda found: found == {(topic, 0): 1})
    assert all(found in (None, {}, {(topic, 0): 0}, {(topic, 0): 1}) for found in told), told


def test_a_replaced_topic_whose_leaders_were_elected_less_often_is_served(brokers, version, tmp_path):
    """Its epochs begin anew, so that clients could take its leader for an outdated one."""
    broker = brokers(version)
    server = kafka_server(tmp_path, broker).start()
    try:
        topic = broker.client.create_topic()
        trigger = Pipeline(server, topic, tmp_path).start()
        broker.restart()
        server.publish(topic, [{"value_text": "old"}])  # by clients that have seen the later epoch
        trigger.wait_at(1)
        replace_topic(broker, topic, [b"new"])
        trigger.wait_source("TopicReplaced")
        trigger.start("?from=earliest")
        server.publish(topic, [{"value_text": "newer"}])
        trigger.wait_at(2)
        assert trigger.values() == ["old", "new", "newer"]
    finally:
        server.close()


def test_a_log_that_has_lost_its_end_stops_the_trigger(brokers, version, tmp_path):
    """As after an unclean election: the topic is the same and ends before the cursor."""
    broker = brokers(version)
    server = kafka_server(tmp_path, broker).start()
    try:
        topic = broker.client.create_topic()
        trigger = Pipeline(server, topic, tmp_path).start()
        broker.client.produce_many(topic, [b"lost"] * 5)
        trigger.wait_at(5)
        broker.kill9()
        shutil.rmtree(broker.directory / "data" / f"{topic}-0")
        broker.start()
        condition = trigger.wait_source("LogTruncated")
        assert "from=earliest" in condition["next_action"]
        broker.client.produce_many(topic, [b"new"] * 2)
        trigger.start("?from=earliest")
        trigger.wait_at(2)
        assert trigger.values() == ["lost"] * 5 + ["new"] * 2
    finally:
        server.close()


def test_one_of_many_idle_triggers_is_woken(kafka, hub, tmp_path):
    """After all of the above in the same server."""
    topics = [kafka.client.create_topic() for _ in range(20)]
    triggers = [Pipeline(hub, name, tmp_path).start() for name in topics]
    kafka.client.produce(topics[13], b"wake up")
    triggers[13].wait_at(1)
    assert [trigger.values() for trigger in triggers] == [["wake up"] if at == 13 else [] for at in range(20)]
    assert all(cursors_of(hub.status(trigger.id)) == {0: int(at == 13)} for at, trigger in enumerate(triggers))
