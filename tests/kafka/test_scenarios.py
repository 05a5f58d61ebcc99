# SPDX-License-Identifier: Apache-2.0
"""What happens to topics in Kafka while triggers listen on them, and what dhub makes of it."""
import pytest
from hub import Pipeline, cursors_of


@pytest.fixture
def topic(kafka):
    return kafka.client.create_topic()


@pytest.fixture
def trigger(hub, topic, tmp_path):
    """Has executed three messages of the topic."""
    return Pipeline(hub, topic, tmp_path)


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
def test_a_topic_that_is_replaced_at_once_is_another(kafka, trigger, topic, before):
    trigger.start()
    if before:
        kafka.client.produce_many(topic, [b"old"] * before)
    trigger.wait_at(before)
    kafka.client.delete_topic(topic)
    kafka.client.create_topic(topic)
    kafka.client.produce_many(topic, [b"new"] * 200)
    trigger.wait_source("TopicReplaced")
    assert trigger.values() == ["old"] * before


def test_one_of_many_idle_triggers_is_woken(kafka, hub, tmp_path):
    """After all of the above in the same server."""
    topics = [kafka.client.create_topic() for _ in range(20)]
    triggers = [Pipeline(hub, name, tmp_path).start() for name in topics]
    kafka.client.produce(topics[13], b"wake up")
    triggers[13].wait_at(1)
    assert [trigger.values() for trigger in triggers] == [["wake up"] if at == 13 else [] for at in range(20)]
    assert all(cursors_of(hub.status(trigger.id)) == {0: int(at == 13)} for at, trigger in enumerate(triggers))
