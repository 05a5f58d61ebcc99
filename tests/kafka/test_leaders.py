# SPDX-License-Identifier: Apache-2.0
"""Three brokers, and leaders that move while events come in: because their node dies, and because somebody wants it."""
import collections
import itertools
import json
import threading

import pytest
from cluster import Cluster
from conftest import VERSIONS
from hub import Pipeline, counts, kafka_server

PARTITIONS = 3
KEYS = 30


class Publisher(threading.Thread):
    """Publishes numbered messages by the API until it is told to end; what was not acknowledged it sends again."""

    def __init__(self, server, topic):
        super().__init__(daemon=True)
        self.server, self.topic = server, topic
        self.acknowledged = []
        self.refused = []
        self.error = None
        self.ends = threading.Event()

    def run(self):
        try:
            for n in itertools.count():
                if self.ends.is_set():
                    return
                while not self.send(n) and not self.ends.is_set():
                    pass
        except BaseException as error:  # told by the test
            self.error = error

    def send(self, n):
        reply = self.server.api("POST", f"/topics/{self.topic}/messages", json.dumps({"key": f"k{n % KEYS}", "value": n}),
                                headers={"Content-Type": "application/x-ndjson"})
        if reply.status == 202:
            self.acknowledged.append(n)
            return True
        assert reply.status == 503, reply
        self.refused.append(reply.json["detail"])
        return False

    def end(self):
        self.ends.set()
        self.join(120)
        assert self.error is None and not self.is_alive(), self.error


@pytest.fixture(scope="module", params=VERSIONS)
def cluster(request, tmp_path_factory):
    cluster = Cluster(request.param, tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster.start()
    finally:
        cluster.close()


class Load:
    """A trigger under load on a topic of the cluster, and what must be true of it in the end."""

    def __init__(self, cluster, server, directory):
        self.cluster = cluster
        self.topic = cluster.create_topic(PARTITIONS)
        self.trigger = Pipeline(server, self.topic, directory).start()
        self.publisher = Publisher(server, self.topic)
        self.publisher.start()
        self.goes_on()

    def goes_on(self, events=100):
        """Until so many more were executed that the leaders of now were asked for them: as if nothing had been."""
        done = counts(self.trigger.server.status(self.trigger.id))["succeeded"]
        self.trigger.wait(lambda s: counts(s)["succeeded"] >= done + events, "more executions")

    def end(self):
        """Each message was executed exactly once, for the server was not harmed, and those of a key in their order."""
        self.publisher.end()
        ends = [self.cluster.client.end_offset(self.topic, partition) for partition in range(PARTITIONS)]
        self.trigger.wait_at(*ends)
        self.trigger.wait(lambda s: s["ready"], "a ready trigger")
        seen, by_key = self.trigger.seen(), collections.defaultdict(list)
        for one in seen:
            by_key[one["partition"], one["key"]].append(one["offset"])
        for offsets in by_key.values():
            assert offsets == sorted(offsets)
        assert sorted((one["partition"], one["offset"]) for one in seen) == [
            (partition, offset) for partition, end in enumerate(ends) for offset in range(end)]
        assert set(self.publisher.acknowledged) <= {one["data"] for one in seen}
        self.trigger.wait_group(self.cluster, *ends)


@pytest.fixture
def load(cluster, tmp_path):
    server = kafka_server(tmp_path, cluster).start()
    try:
        yield Load(cluster, server, tmp_path)
    finally:
        server.close()


def test_leaders_that_die_one_after_the_other_cost_nothing(load):
    for partition in range(PARTITIONS):
        node = load.cluster.leader(load.topic, partition)
        node.kill9()
        load.goes_on()
        node.start()
        load.cluster.wait_whole(load.topic)
    load.end()


def test_leaders_that_are_moved_on_purpose_cost_nobody_an_answer(load):
    for partition in range(PARTITIONS):
        for node in load.cluster.nodes:
            load.cluster.move_leader(load.topic, partition, node)
            load.goes_on()
    load.end()
    assert not load.publisher.refused
