# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the broker, of the server, and of both, again and again under load: nothing is lost, the order of each key
holds, every offset ends in a final state, and the group is never told more than is stored.

DHUB_KILL_MESSAGES and DHUB_KILLS (of each kind) make it longer."""
import bisect
import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import secrets
import threading
import urllib.parse

import pytest
from client import TopicPartition
from client import kafka as kafka_python
from hub import cursors_of, group_offsets, kafka_server, lag, poll

PARTITIONS = 3
KEYS = 60
BATCH = 2000
ATTEMPTS = 2
# One line an execution, by one write call, and then the disk is waited for: so there is always something in flight.
STEP = '''import os
FD = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def handle(event):
    n = int(event.value)
    os.write(FD, b"run %d %d %d\\n" % (event.partition, event.offset, n))
    os.fdatasync(FD)
    if n % 1000 == 7:
        raise ValueError("a bad one")
    os.write(FD, b"end %d %d %d\\n" % (event.partition, event.offset, n))
'''
Line = collections.namedtuple("Line", "what partition offset n")


def is_bad(n):
    return n % 1000 == 7


class Publisher(threading.Thread):
    """An independent client that sends numbered messages until all are acknowledged. What it is not sure of it sends
    again, so a number may stand in the topic twice."""

    def __init__(self, broker, topic, total):
        super().__init__(daemon=True)
        self.broker, self.topic, self.total = broker, topic, total
        self.producer = None
        self.error = None

    def run(self):
        try:
            sent = 0
            while sent < self.total:
                sent += self.send(range(sent, min(sent + BATCH, self.total)))
        except BaseException as error:  # told by the test
            self.error = error
        finally:
            self.disconnect()

    def send(self, numbers):
        """How many of them are acknowledged: all, or none that one may rely on."""
        try:
            self.producer = self.producer or self.connect()
            futures = [self.producer.send(self.topic, b"%d" % n, b"k%d" % (n % KEYS)) for n in numbers]
            for future in futures:
                future.get(20)
            return len(numbers)
        except kafka_python.errors.KafkaError:
            self.disconnect()
            return 0

    def disconnect(self):
        producer, self.producer = self.producer, None
        if producer is not None:
            with contextlib.suppress(kafka_python.errors.KafkaError):  # what it did not send is sent again
                producer.close(0)

    def connect(self):
        return kafka_python.KafkaProducer(bootstrap_servers=self.broker.address(), acks="all", linger_ms=5,
                                          bootstrap_timeout_ms=20000, request_timeout_ms=5000, max_block_ms=10000,
                                          delivery_timeout_ms=15000, reconnect_backoff_max_ms=500)


class Trial:
    """A broker, a server, and what the steps wrote."""

    def __init__(self, broker, directory, total):
        self.broker, self.total = broker, total
        self.topic = broker.client.create_topic(partitions=PARTITIONS)
        self.record = pathlib.Path(directory) / "executions"
        self.record.touch()
        self.server = kafka_server(directory, broker).start()
        self.server.create({"id": "killed", "name": "Killed", "steps": [{"name": "work", "script": STEP}], "options": {
            "event": self.topic, "env": {"RECORD": str(self.record)}, "scaling": {"max_instances": 2},
            "retry": {"max_attempts": ATTEMPTS, "initial_delay": "100ms", "backoff": "constant"}}})
        # A topic that was just made may have no leader yet.
        poll(lambda: self.server.api("POST", "/events/killed?from=earliest").status, lambda status: status == 200)
        self.bound = self.server.status("killed")["in_flight_bound"]

    def lines(self):
        text = self.record.read_text(encoding="ascii")
        words = (line.split(" ") for line in text[:text.rfind("\n") + 1].splitlines())
        return [Line(what, int(partition), int(offset), int(n)) for what, partition, offset, n in words]

    def wait_progress(self, events, publisher):
        """Until so many are over, or there are no more."""
        self.server.wait_status("killed", lambda status: sum(cursors_of(status).values()) >= events or (
            not publisher.is_alive() and lag(status) == 0), 300)

    def kill(self, victims):
        """The group is looked at first, so that the cursor can only have moved on since."""
        if "broker" in victims:
            self.broker.kill9()
        if "server" in victims:
            self.server.kill()
        if "broker" in victims:
            self.broker.start()
        if "server" in victims:
            self.server.start()
        told = poll(lambda: group_offsets(self.broker, "dhub.killed"), lambda found: found is not None)
        cursors = cursors_of(self.server.status("killed"))
        for partition in range(PARTITIONS):
            assert told.get((self.topic, partition), 0) <= cursors[partition], (told, cursors)

    def states(self, partition, offsets):
        """state of each, over one connection."""
        where = urllib.parse.urlsplit(self.server.url)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
        for offset in offsets:
            connection.request("GET", f"/api/v1/events/killed/messages/{partition}/{offset}",
                               headers={"Authorization": f"Bearer {self.server.token}"})
            yield json.loads(connection.getresponse().read())["state"]
        connection.close()


@pytest.fixture
def trial(brokers, version, tmp_path):
    trial = Trial(brokers(version), tmp_path, int(os.environ.get("DHUB_KILL_MESSAGES", "10000")))
    yield trial
    trial.server.close()


def test_brokers_and_servers_killed_again_and_again_lose_nothing(trial):
    seed = os.environ.get("DHUB_TEST_SEED") or str(secrets.randbits(32))
    print(f"DHUB_TEST_SEED={seed}")
    chance = random.Random(f"{seed}/kill")
    kills = int(os.environ.get("DHUB_KILLS", "2"))
    publisher = Publisher(trial.broker, trial.topic, trial.total)
    publisher.start()
    step, done = trial.total // (3 * kills + 1), 0
    for victims in (["broker"], ["server"], ["broker", "server"]):
        for _ in range(kills):
            # A kill falls after a random amount of progress, so that it finds all in all kinds of states.
            done += step
            trial.wait_progress(done - chance.randrange(step // 2 + 1), publisher)
            trial.kill(victims)
        if "server" not in victims:
            ended = [line for line in trial.lines() if line.what == "end"]
            assert len(ended) == len(set(ended)), "a broker that dies has something executed again"
    publisher.join(300)
    assert publisher.error is None and not publisher.is_alive()
    trial.server.wait_drained("killed", 300)
    check(trial, 2 * kills)


def check(trial, server_kills):
    topic = {(partition, record.offset): int(record.value) for partition in range(PARTITIONS)
             for record in trial.broker.client.read(trial.topic, partition)}
    assert set(topic.values()) == set(range(trial.total)), "the broker has lost what it acknowledged"
    lines = trial.lines()
    ended = [(line.partition, line.offset) for line in lines if line.what == "end"]
    dead = {(letter["partition"], letter["offset"]) for letter in trial.server.dead_letters("killed")}
    assert all(topic[line.partition, line.offset] == line.n for line in lines), "what ran was not what stands there"
    assert dead == {place for place, n in topic.items() if is_bad(n)}
    missing = topic.keys() - set(ended) - dead
    assert not missing, f"{len(missing)} messages have no end: {sorted(missing)[:10]}"
    for partition in range(PARTITIONS):
        offsets = sorted(offset for where, offset in topic if where == partition)
        for offset, state in zip(offsets, trial.states(partition, offsets)):
            assert state == ("dead_lettered" if (partition, offset) in dead else "succeeded"), (partition, offset)
    repeats = len(ended) - len(set(ended))
    assert repeats <= server_kills * trial.bound
    assert_order(topic, lines, dead)
    ends = {TopicPartition(trial.topic, p): trial.broker.client.end_offset(trial.topic, p) for p in range(PARTITIONS)}
    poll(lambda: group_offsets(trial.broker, "dhub.killed"),
         lambda told: told == {(where.topic, where.partition): end for where, end in ends.items()})
    print(f"{len(topic)} messages ({trial.total} numbers), {len(dead)} dead, {repeats} repeats in {server_kills} kills of "
          f"the server (bound {trial.bound} each), none in kills of the broker alone")


def assert_order(topic, lines, dead):
    """An offset never begins before all smaller ones of its key are over: have ended once, or failed for good."""
    order = collections.defaultdict(list)
    for place, n in sorted(topic.items()):
        order[place[0], n % KEYS].append(place[1])
    over, runs, finished = set(), collections.Counter(), collections.Counter()
    for line in lines:
        place, lane = (line.partition, line.offset), (line.partition, line.n % KEYS)
        if line.what == "run":
            before = bisect.bisect_left(order[lane], line.offset)
            assert before <= finished[lane], f"{place} began before {order[lane][finished[lane]]} was over"
            runs[place] += 1
        if line.what == "end" or (place in dead and runs[place] >= ATTEMPTS):
            over.add(place)
        while finished[lane] < len(order[lane]) and (line.partition, order[lane][finished[lane]]) in over:
            finished[lane] += 1
