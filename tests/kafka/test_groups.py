# SPDX-License-Identifier: Apache-2.0
"""Consumer groups: triggers tell theirs to the cluster, and take over those of others."""
import pytest
from client import TopicPartition
from client import kafka as kafka_python
from hub import Pipeline, poll


@pytest.fixture
def billing(kafka):
    """A topic of two partitions with ten messages each, and a group of a plain consumer's that has done 4 and none."""
    topic = kafka.client.create_topic(partitions=2)
    for partition in (0, 1):
        kafka.client.produce_many(topic, [b"%d" % n for n in range(10)], partition=partition)
    with consumer(kafka, group := f"billing-{topic}") as plain:
        plain.assign([TopicPartition(topic, 0)])
        plain.seek(TopicPartition(topic, 0), 0)
        taken = 0
        while taken < 4:
            for batch in plain.poll(timeout_ms=1000, max_records=4 - taken).values():
                taken += len(batch)
        plain.commit()
    return topic, group


class consumer:  # noqa: N801
    """A plain consumer of a group, closed at the end."""

    def __init__(self, broker, group):
        self.plain = kafka_python.KafkaConsumer(bootstrap_servers=broker.address(), group_id=group,
                                                enable_auto_commit=False, auto_offset_reset="earliest")

    def __enter__(self):
        return self.plain

    def __exit__(self, *_):
        self.plain.close(autocommit=False)


def refused(pipeline, query, status, code):
    reply = pipeline.server.api("POST", f"/events/{pipeline.id}{query}")
    assert (reply.status, reply.json["code"]) == (status, code), reply
    return reply.json["detail"]


def test_a_trigger_goes_on_where_a_plain_consumer_stood(kafka, hub, tmp_path, billing):
    topic, group = billing
    pipeline = Pipeline(hub, topic, tmp_path)
    reply = hub.api("POST", f"/events/{pipeline.id}?from=committed&group={group}", expect=200)
    assert reply.headers["X-Backlog"] == str(6 + 10)
    pipeline.wait_at(10, 10)
    assert pipeline.offsets(0) == list(range(4, 10))
    assert pipeline.offsets(1) == list(range(10)), "of what the group never committed nothing was done"
    pipeline.stop()
    pipeline.start(f"?group={group}").wait_at(10, 10)
    assert len(pipeline.seen()) == 16, "a start that is repeated takes nothing back"
    assert kafka.client.group_offsets(group) == {(topic, 0): 4}, "the group itself is left alone"


def test_a_plain_consumer_goes_on_where_a_trigger_stood(kafka, hub, tmp_path):
    topic = kafka.client.create_topic()
    kafka.client.produce_many(topic, [b"a", b"b", b"c"])
    pipeline = Pipeline(hub, topic, tmp_path).start("?from=earliest")
    pipeline.wait_at(3)
    pipeline.stop()
    pipeline.wait_group(kafka, 3)
    kafka.client.produce_many(topic, [b"d"])
    with consumer(kafka, f"dhub.{pipeline.id}") as plain:
        plain.assign([TopicPartition(topic, 0)])
        taken = poll(lambda: plain.poll(timeout_ms=1000), bool)
    assert [record.value for records in taken.values() for record in records] == [b"d"]


def test_the_group_is_never_ahead_of_the_cursor(kafka, hub, tmp_path):
    """Looked at all the while: the group first, so that the cursor can only have moved on since."""
    topic = kafka.client.create_topic()
    pipeline = Pipeline(hub, topic, tmp_path).start("?from=earliest")
    group, made, looks = f"dhub.{pipeline.id}", 0, 0

    def look():
        nonlocal made, looks
        made += len(kafka.client.produce_many(topic, [b"x"] * 100))
        told = kafka.client.group_offsets(group).get((topic, 0), 0)
        assert told <= hub.status(pipeline.id)["partitions"][0]["cursor"]
        looks += 0 < told < made
        return looks

    poll(look, lambda seen: seen >= 5)
    pipeline.wait_at(made)
    pipeline.wait_group(kafka, made)


def test_a_group_that_committed_nothing_is_refused(kafka, hub, tmp_path):
    pipeline = Pipeline(hub, kafka.client.create_topic(), tmp_path)
    assert "from=earliest" in refused(pipeline, "?group=never-heard-of", 404, "not_found")


def test_a_group_whose_consumers_still_read_is_refused(kafka, hub, tmp_path, billing):
    topic, group = billing
    pipeline = Pipeline(hub, topic, tmp_path)
    with consumer(kafka, group) as plain:
        plain.subscribe([topic])
        poll(lambda: [plain.poll(timeout_ms=100), kafka.client.admin.describe_groups([group])[group]["members"]][1], bool)
        assert "Stop them" in refused(pipeline, f"?group={group}", 409, "conflict")
    pipeline.start(f"?group={group}").wait_at(10, 10)
    assert pipeline.offsets(0) == list(range(4, 10))


def test_groups_are_the_affair_of_clusters(hub, tmp_path):
    hub.api("PUT", "/topics/embedded%2Fours", {"partitions": 1}, expect=201)
    pipeline = Pipeline(hub, "embedded/ours", tmp_path)
    assert "no consumer groups" in refused(pipeline, "?group=billing", 422, "invalid_argument")


def test_a_trigger_begins_at_offsets(kafka, hub, tmp_path, billing):
    topic, _ = billing
    pipeline = Pipeline(hub, topic, tmp_path).start("?from=0:8,1:9")
    pipeline.wait_at(10, 10)
    assert (pipeline.offsets(0), pipeline.offsets(1)) == ([8, 9], [9])
    refused(pipeline, "?from=2:0", 422, "invalid_argument")
    refused(pipeline, "?from=0:11", 422, "invalid_argument")
