# SPDX-License-Identifier: Apache-2.0
"""Topics that get more partitions while triggers listen on them"""
import pytest
from hub import Pipeline


@pytest.fixture
def topic(kafka):
    return kafka.client.create_topic(partitions=2)


def keyed(kafka, topic, first, count, partitions):
    """Where Kafka's partitioner would put the key is not the point here: each partition gets some."""
    for number in range(first, first + count):
        kafka.client.produce(topic, f"{number}".encode(), key=f"k{number}".encode(), partition=number % partitions)


def test_partitions_added_under_a_running_trigger_are_read_from_their_beginning(kafka, hub, topic, tmp_path):
    trigger = Pipeline(hub, topic, tmp_path).start()
    keyed(kafka, topic, 0, 6, 2)
    trigger.wait_at(3, 3)
    kafka.client.add_partitions(topic, 4)
    keyed(kafka, topic, 6, 8, 4)
    status = trigger.wait_at(5, 5, 2, 2)
    assert sorted(trigger.values(), key=int) == [str(number) for number in range(14)]
    assert [trigger.offsets(partition) for partition in range(4)] == [list(range(5)), list(range(5)), [0, 1], [0, 1]]
    assert status["ready"]
    trigger.wait_group(kafka, 5, 5, 2, 2)


def test_partitions_added_and_left_empty_are_known(kafka, hub, topic, tmp_path):
    trigger = Pipeline(hub, topic, tmp_path).start()
    kafka.client.add_partitions(topic, 3)
    trigger.wait_at(0, 0, 0)
    kafka.client.produce(topic, b"late", partition=2)
    trigger.wait_at(0, 0, 1)
    assert trigger.values() == ["late"]


def test_partitions_added_while_the_trigger_is_paused_wait_for_it(kafka, hub, topic, tmp_path):
    trigger = Pipeline(hub, topic, tmp_path).start()
    trigger.pause()
    kafka.client.add_partitions(topic, 3)
    kafka.client.produce(topic, b"early", partition=2)
    trigger.wait(lambda s: s["lag"] == 1, "a backlog in the new partition")
    assert trigger.values() == []
    trigger.resume()
    trigger.wait_at(0, 0, 1)
    assert trigger.values() == ["early"]


def test_partitions_added_while_the_server_is_down_are_read_from_their_beginning(kafka, own_hub, topic, tmp_path):
    trigger = Pipeline(own_hub, topic, tmp_path).start()
    keyed(kafka, topic, 0, 4, 2)
    trigger.wait_at(2, 2)
    assert own_hub.terminate() == 0
    kafka.client.add_partitions(topic, 4)
    keyed(kafka, topic, 4, 8, 4)
    own_hub.start()
    trigger.wait_at(4, 4, 2, 2)
    assert sorted(trigger.values(), key=int) == [str(number) for number in range(12)]


def test_partitions_added_while_the_trigger_is_stopped_are_read_from_their_beginning(kafka, hub, topic, tmp_path):
    trigger = Pipeline(hub, topic, tmp_path).start()
    kafka.client.produce(topic, b"before", partition=0)
    trigger.wait_at(1, 0)
    trigger.stop()
    kafka.client.add_partitions(topic, 3)
    kafka.client.produce(topic, b"meanwhile", partition=2)
    kafka.client.produce(topic, b"too", partition=1)
    trigger.start()
    trigger.wait_at(1, 1, 1)
    assert sorted(trigger.values()) == ["before", "meanwhile", "too"]
