# SPDX-License-Identifier: Apache-2.0
"""Three real brokers that make one cluster, for what a single one cannot do: lose a leader and get another."""
import pathlib

from broker import Broker
from client import Client, TopicPartition
from hub import poll

# Every partition, of Kafka's own topics too, is on all three; two of them have to have what is acknowledged.
_COPIES = {"offsets.topic.replication.factor": 3, "transaction.state.log.replication.factor": 3,
           "transaction.state.log.min.isr": 2, "min.insync.replicas": 2,
           "auto.leader.rebalance.enable": "false", "replica.lag.time.max.ms": 3000,
           "controller.quorum.election.timeout.ms": 500, "controller.quorum.fetch.timeout.ms": 1000}


class Cluster:
    """Offers of a Broker's calls those that a server and a test's own client need."""

    def __init__(self, version, directory):
        directory = pathlib.Path(directory)
        self.nodes = [Broker(version, directory / f"node-{n}", node=n, properties=_COPIES) for n in (1, 2, 3)]
        for node in self.nodes:
            node.voters = [other.vote() for other in self.nodes]
        self.client = Client(self.settings())

    def start(self):
        for node in self.nodes:
            node.begin()
        for node in self.nodes:
            node.await_answer()
        return self

    def close(self):
        self.client.close()
        for node in self.nodes:
            node.close()

    def settings(self):
        return {**self.nodes[0].settings(), "bootstrap.servers": ",".join(node.address() for node in self.nodes)}

    def create_topic(self, partitions=1):
        """With a copy on every node; returns when all copies are whole."""
        topic = self.client.create_topic(partitions=partitions, copies=len(self.nodes))
        self.wait_whole(topic)
        return topic

    def leader(self, topic, partition=0):
        """The node, None while there is none."""
        number = self._partitions(topic)[partition]["leader_id"]
        return next((node for node in self.nodes if node.node == number), None)

    def move_leader(self, topic, partition, node):
        """By an order, as an administrator does it; returns when the node leads. All nodes have to be there."""
        order = [node.node] + [other.node for other in self.nodes if other is not node]
        self.client.admin.alter_partition_reassignments({TopicPartition(topic, partition): order})
        poll(lambda: self._partitions(topic)[partition]["replica_nodes"], lambda nodes: nodes == order)
        if self.leader(topic, partition) is not node:
            self.client.admin.elect_leaders(0, {topic: [partition]}, raise_errors=False)
        poll(lambda: self.leader(topic, partition), lambda leader: leader is node)

    def wait_whole(self, topic):
        """Until every copy is up to date, so that any node may die."""
        poll(lambda: [one["isr_nodes"] for one in self._partitions(topic)],
             lambda copies: all(len(nodes) == len(self.nodes) for nodes in copies))

    def _partitions(self, topic):
        [found] = self.client.admin.describe_topics([topic])
        return sorted(found["partitions"], key=lambda one: one["partition_index"])
