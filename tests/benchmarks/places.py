# SPDX-License-Identifier: Apache-2.0
"""Where the topics of a measurement live, and how they are filled: the embedded log, or a broker of its own."""
import contextlib
import json
import pathlib
import shutil
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
for _folder in ("integration", "kafka", "benchmarks"):
    sys.path.insert(0, str(TESTS / _folder))
import dhub_server  # noqa: E402
from broker import Broker  # noqa: E402
from cached import VERSIONS  # noqa: E402
from dhub_server import Server  # noqa: E402
from quick import Connection  # noqa: E402

PARTITIONS = 4
LINES_A_BODY = 1000


def say(text):
    print(text, file=sys.stderr, flush=True)


class EmbeddedPlace:
    """One data directory a topic, used by one server after the other; each has the topic alone."""

    name = "embedded"

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.filled = {}

    def fill(self, keys, messages, size):
        """A topic of so many messages; the keys take turns, 0: without. Answers its name."""
        topic = f"backlog-{keys}"
        if topic not in self.filled:
            say(f"filling {topic} with {messages:,} messages of {size} bytes")
            self.filled[topic] = self.folder / f"{topic}-{len(list(self.folder.iterdir()))}"
            server = Server(self.filled[topic]).start()
            server.api("PUT", f"/topics/{topic}", {"partitions": PARTITIONS})
            connection, value = Connection(server), "x" * size
            bodies = {}
            for begin in range(0, messages, LINES_A_BODY):
                numbers = range(begin, min(begin + LINES_A_BODY, messages))
                turn = (begin % keys if keys else 0, len(numbers))
                if turn not in bodies:
                    bodies[turn] = ndjson(numbers, keys, value)
                connection.publish(topic, bodies[turn])
            server.terminate()
        return topic

    @contextlib.contextmanager
    def server(self, topic=None):
        """A server that has the topic, or an empty one. The trigger that it was started for is stopped at its end."""
        server = Server(self.filled[topic] if topic else self.folder / f"data-{len(list(self.folder.iterdir()))}")
        try:
            yield server.start()
            self._leave(server, topic)
        finally:
            server.close()
            if topic is None:
                shutil.rmtree(server.data, ignore_errors=True)

    def make_topic(self, server, name, partitions):
        server.api("PUT", f"/topics/{name}", {"partitions": partitions})
        return name

    def _leave(self, server, topic):
        """So that the next server on the directory does not go on with it; one that cannot stop spoils it."""
        try:
            for trigger in server.pages("/events") if topic else []:
                server.api("DELETE", f"/events/{trigger['pipeline_id']}", expect=200)
            server.terminate()
        except Exception as error:  # whatever a server in trouble does
            say(f"the server does not stop in order, its topic is filled anew: {error!r:.200}")
            shutil.rmtree(self.filled.pop(topic, server.data), ignore_errors=True)

    def close(self):
        pass


class KafkaPlace:
    """A broker that it starts itself; every server begins with an empty data directory."""

    def __init__(self, folder, version):
        self.folder, self.name = pathlib.Path(folder), f"Kafka {version}"
        self.floor = pathlib.Path(dhub_server.BINARY).parent / "tests" / "kafka_floor"
        if not self.floor.exists():
            sys.exit("build first: tools/build release dhub kafka_floor")
        say(f"starting Kafka {version}")
        self.broker = Broker(version, self.folder / "broker").start()
        self.filled = set()

    def run_floor(self, *arguments):
        words = [str(word) for word in (self.floor, *arguments)]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=600)
        return json.loads(done.stdout)

    def fill(self, keys, messages, size):
        topic = f"backlog-{keys}"
        if topic not in self.filled:
            say(f"filling {topic} with {messages:,} messages of {size} bytes")
            self.broker.client.create_topic(topic, partitions=PARTITIONS)
            self.run_floor("fill", self.broker.address(), topic, messages, size, keys)
            self.filled.add(topic)
        return topic

    @contextlib.contextmanager
    def server(self, topic=None):
        del topic
        data = self.folder / f"data-{len(list(self.folder.iterdir()))}"
        server = Server(data, [], {"DHUB_KAFKA_BOOTSTRAP_SERVERS": self.broker.address()})
        try:
            yield server.start()
        finally:
            server.close()
            shutil.rmtree(data, ignore_errors=True)

    def make_topic(self, server, name, partitions):
        del server
        return self.broker.client.create_topic(name, partitions=partitions)

    def close(self):
        self.broker.close()


def ndjson(numbers, keys, value):
    def line(n):
        return json.dumps({"key": f"key-{n % keys}" if keys else None, "value_text": value})
    return "".join(line(n) + "\n" for n in numbers).encode()


def add_options(parser):
    parser.add_argument("--binary", default=dhub_server.BINARY)
    parser.add_argument("--topics", choices=["embedded", "kafka"], default="embedded", help="where they live")
    parser.add_argument("--kafka", choices=VERSIONS, default=VERSIONS[0], help="the broker's version")


@contextlib.contextmanager
def chosen_place(args, folder):
    dhub_server.BINARY = args.binary
    place = KafkaPlace(folder, args.kafka) if args.topics == "kafka" else EmbeddedPlace(folder)
    try:
        yield place
    finally:
        place.close()
