# SPDX-License-Identifier: Apache-2.0
"""Consumer groups: triggers tell theirs to the cluster, and take over those of others."""
import urllib.parse

import kcat
import pytest
from client import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType, TopicPartition
from client import kafka as kafka_python
from hub import Pipeline, counts, cursors_of, group_offsets, kafka_server, lag, poll
from newer_member import NewerMember


GATED = """import os


def handle(event, context):
    if not os.path.exists(os.environ["GATE"]):
        raise RuntimeError("the gate is shut")
"""


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


def commit(broker, group, topic, **offsets):
    """As a consumer of the group would; `p0=7` is partition 0."""
    with consumer(broker, group) as plain:
        places = {TopicPartition(topic, int(name[1:])): offset for name, offset in offsets.items()}
        plain.assign(list(places))
        plain.commit({place: kafka_python.OffsetAndMetadata(offset, "", -1) for place, offset in places.items()})


def started(pipeline, query):
    """The answer, when what is not there at the moment is there: a leader, the group's coordinator."""
    return poll(lambda: pipeline.server.api("POST", f"/events/{pipeline.id}{query}"), lambda reply: reply.status != 503)


def refused(pipeline, query, status, code):
    reply = started(pipeline, query)
    assert (reply.status, reply.json["code"]) == (status, code), reply
    return reply.json["detail"]


def test_a_trigger_goes_on_where_a_plain_consumer_stood(kafka, hub, tmp_path, billing):
    topic, group = billing
    pipeline = Pipeline(hub, topic, tmp_path)
    reply = started(pipeline, f"?from=committed&group={group}")
    assert (reply.status, reply.headers["X-Backlog"], reply.headers["X-Position"]) == (200, str(6 + 10), "group"), reply
    pipeline.wait_at(10, 10)
    assert pipeline.offsets(0) == list(range(4, 10))
    assert pipeline.offsets(1) == list(range(10)), "of what the group never committed nothing was done"
    pipeline.stop()
    assert started(pipeline, f"?group={group}").headers["X-Position"] == "own"
    pipeline.wait_at(10, 10)
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


def test_members_of_the_triggers_group_go_on_where_it_stood(kafka, hub, tmp_path):
    """As people would go back: consumers that subscribe, of two families, one after the other."""
    topic = kafka.client.create_topic()
    kafka.client.produce_many(topic, [b"a", b"b"])
    pipeline = Pipeline(hub, topic, tmp_path).start("?from=earliest")
    pipeline.wait_at(2)
    pipeline.stop()
    pipeline.wait_group(kafka, 2)
    group = f"dhub.{pipeline.id}"
    kafka.client.produce_many(topic, [b"c"])
    with consumer(kafka, group) as plain:
        plain.subscribe([topic])
        taken = poll(lambda: plain.poll(timeout_ms=1000), bool)
        plain.commit()
    assert [record.value for records in taken.values() for record in records] == [b"c"]
    kafka.client.produce_many(topic, [b"d"])
    assert kcat.consume_as_member(kafka.settings(), group, topic, 1) == [b"d"]


def test_kafka_sees_the_lag_that_the_status_tells(kafka, hub, tmp_path):
    topic = kafka.client.create_topic(partitions=2)
    kafka.client.produce_many(topic, [b"x"] * 5)
    pipeline = Pipeline(hub, topic, tmp_path).start("?from=earliest")
    pipeline.wait_at(5, 0)
    pipeline.pause()
    kafka.client.produce_many(topic, [b"x"] * 7)
    kafka.client.produce_many(topic, [b"x"] * 3, partition=1)
    pipeline.wait(lambda s: lag(s) == 10, "a lag of 10")
    pipeline.wait_group(kafka, 5, 0)
    told = kafka.client.group_offsets(f"dhub.{pipeline.id}")
    assert sum(kafka.client.end_offset(topic, p) - told[topic, p] for p in (0, 1)) == 10
    pipeline.resume()
    pipeline.wait_group(kafka, 12, 3)


def test_the_group_tells_no_more_than_was_executed_when_servers_are_killed(kafka, own_hub, tmp_path, seeded):
    """By what the steps wrote outside, which our own books have no part in."""
    topic, part, made = kafka.client.create_topic(), 1000, 0
    pipeline = Pipeline(own_hub, topic, tmp_path).start("?from=earliest")

    def told():
        stands = (group_offsets(kafka, f"dhub.{pipeline.id}") or {}).get((topic, 0), 0)
        executed = set(pipeline.offsets(0))  # looked at afterwards: it can only have become more
        assert set(range(stands)) <= executed, f"{stands} is told, {len(executed)} are executed"
        return stands

    for _ in range(3):
        kafka.client.produce_many(topic, [b"x"] * part)
        poll(told, lambda stands, made=made: stands > made)  # it is told in this life of the server
        kafka.client.produce_many(topic, [b"x"] * part)
        goal = made + part + seeded.randrange(part)
        pipeline.wait(lambda s, goal=goal: cursors_of(s)[0] >= goal, f"the cursor {goal}")
        own_hub.kill()
        made += 2 * part
        told()
        own_hub.start()
    pipeline.wait_at(made)
    pipeline.wait_group(kafka, made)
    assert set(pipeline.offsets(0)) == set(range(made))


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


def test_a_stranger_in_the_triggers_group_holds_up_nothing_but_what_it_is_told(kafka, own_hub, tmp_path):
    topic = kafka.client.create_topic()
    kafka.client.produce_many(topic, [b"a", b"b"])
    pipeline = Pipeline(own_hub, topic, tmp_path).start("?from=earliest")
    pipeline.wait_at(2)
    pipeline.wait_group(kafka, 2)
    with consumer(kafka, f"dhub.{pipeline.id}") as stranger:
        stranger.subscribe([topic])
        poll(lambda: [stranger.poll(timeout_ms=100), stranger.assignment()][1], bool)
        kafka.client.produce_many(topic, [b"c"])
        pipeline.wait_at(3)
        poll(lambda: [stranger.poll(timeout_ms=100), own_hub.log_tail()][1],
             lambda log: "Consumers read in this group themselves" in log)
    kafka.client.produce_many(topic, [b"d"])
    pipeline.wait_group(kafka, 4)


def test_what_a_stranger_commits_in_the_triggers_group_is_not_taken_back(kafka, own_hub, tmp_path):
    """Who goes back in the wrong order, and stops the trigger only when the consumer reads already."""
    topic = kafka.client.create_topic()
    kafka.client.produce_many(topic, [b"a", b"b"])
    pipeline = Pipeline(own_hub, topic, tmp_path).start("?from=earliest")
    pipeline.wait_at(2)
    pipeline.wait_group(kafka, 2)
    with consumer(kafka, f"dhub.{pipeline.id}") as stranger:
        stranger.subscribe([topic])
        poll(lambda: [stranger.poll(timeout_ms=100), stranger.assignment()][1], bool)
        kafka.client.produce_many(topic, [b"c"])
        poll(lambda: [stranger.poll(timeout_ms=100), own_hub.log_tail()][1],
             lambda log: "Consumers read in this group themselves" in log)
        pipeline.stop()
        kafka.client.produce_many(topic, [b"d", b"e"])
        poll(lambda: [stranger.poll(timeout_ms=100), stranger.position(TopicPartition(topic, 0))][1], lambda at: at == 5)
        stranger.commit()
    # Another's group is told in the same rounds: when it has been told twice, a round has passed that began later.
    other = Pipeline(own_hub, kafka.client.create_topic(), tmp_path).start("?from=earliest")
    for told in (1, 2):
        kafka.client.produce_many(other.topic, [b"x"])
        other.wait_group(kafka, told)
    assert kafka.client.group_offsets(f"dhub.{pipeline.id}") == {(topic, 0): 5}


def test_the_group_goes_back_with_its_trigger(kafka, hub, tmp_path):
    topic, gate = kafka.client.create_topic(), tmp_path / "gate"
    kafka.client.produce_many(topic, [b"x"] * 10)
    gate.touch()
    pipeline = Pipeline(hub, topic, tmp_path, env={"GATE": str(gate)}, steps=[{"name": "wait", "script": GATED}],
                        retry={"max_attempts": 1000, "initial_delay": "100ms", "backoff": "constant"}).start("?from=earliest")
    pipeline.wait_at(10)
    pipeline.wait_group(kafka, 10)
    gate.unlink()
    started(pipeline, "?from=0:3")
    pipeline.wait(lambda s: cursors_of(s)[0] == 3, "the cursor 3")
    pipeline.wait_group(kafka, 3)
    gate.touch()
    pipeline.wait_group(kafka, 10)


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


def test_members_by_the_protocol_of_kafka_4_are_seen(kafka4, tmp_path):
    """The question that librdkafka asks finds nobody in their groups."""
    topic = kafka4.client.create_topic()
    kafka4.client.produce_many(topic, [b"a", b"b"])
    commit(kafka4, group := f"newer-{topic}", topic, p0=1)
    server = kafka_server(tmp_path, kafka4).start()
    try:
        pipeline = Pipeline(server, topic, tmp_path)
        with NewerMember(kafka4, group, topic):
            assert "Stop them" in refused(pipeline, f"?group={group}", 409, "conflict")
        pipeline.start(f"?group={group}").wait_at(2)
        assert pipeline.offsets(0) == [1]
    finally:
        server.close()


def test_a_group_that_stands_beyond_the_end_is_refused(kafka, hub, tmp_path):
    topic = kafka.client.create_topic()
    kafka.client.produce_many(topic, [b"a", b"b", b"c"])
    commit(kafka, f"of-old-{topic}", topic, p0=4)
    pipeline = Pipeline(hub, topic, tmp_path)
    assert "which ends at 3" in refused(pipeline, f"?group=of-old-{topic}", 409, "conflict")
    commit(kafka, f"at-end-{topic}", topic, p0=3)
    assert "X-Backlog" not in started(pipeline, f"?group=at-end-{topic}").headers
    kafka.client.produce_many(topic, [b"d"])
    pipeline.wait_at(4)
    assert pipeline.values() == ["d"]


def test_what_retention_took_from_a_group_is_told(kafka, hub, tmp_path):
    topic = kafka.client.create_topic()
    kafka.client.produce_many(topic, [b"x"] * 10)
    commit(kafka, f"slow-{topic}", topic, p0=2)
    kafka.client.delete_records(topic, 5)
    pipeline = Pipeline(hub, topic, tmp_path).start(f"?group=slow-{topic}")
    status = pipeline.wait_at(10)
    assert pipeline.offsets(0) == [5, 6, 7, 8, 9]
    assert counts(status)["expired"] == 3


@pytest.mark.parametrize("name", ["../x", "a b&c=d#e%25/f?", "gr\u00fc\u00dfe \U0001f980", "a'b\"c<script>", "*", "dhub.", "g" * 249])
def test_a_group_may_have_any_name_that_can_be_shown(kafka, hub, tmp_path, name):
    topic = kafka.client.create_topic()
    kafka.client.produce_many(topic, [b"a", b"b"])
    commit(kafka, name, topic, p0=1)
    Pipeline(hub, topic, tmp_path).start(f"?group={urllib.parse.quote(name, safe='')}").wait_at(2)


@pytest.mark.parametrize("name", ["%FF%FE", "%ED%A0%80", "a%00b", "a%0Ab", "a%C2%85b", "a%E2%80%AEb", ""])
def test_names_that_would_do_harm_are_refused(kafka, hub, tmp_path, name):
    """librdkafka ends the whole process over an answer whose group is not the one it asked for, byte by byte."""
    pipeline = Pipeline(hub, kafka.client.create_topic(), tmp_path)
    refused(pipeline, f"?group={name}", 422, "invalid_argument")
    pipeline.start()


def test_a_group_that_one_may_not_look_at_is_refused(kafka, tmp_path, billing):
    topic, group = billing
    kafka.client.admin.create_acls([ACL("User:alice", "*", ACLOperation.DESCRIBE, ACLPermissionType.DENY,
                                        ResourcePattern(ResourceType.GROUP, group))])
    login = {name.replace(".", "_"): value for name, value in kafka.settings("SASL_PLAINTEXT", "PLAIN").items()}
    server = kafka_server(tmp_path, kafka, **login).start()
    try:
        assert "ACLs" in refused(Pipeline(server, topic, tmp_path), f"?group={group}", 403, "permission_denied")
    finally:
        server.close()


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
