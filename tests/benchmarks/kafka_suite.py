# SPDX-License-Identifier: Apache-2.0
"""The Kafka suite, against a broker that it starts itself: a pass-through pipeline (`steps: []`) on a preloaded topic
beside a bare batch consumer of librdkafka in the same run, what 2,000 idle triggers over 20 topics cost beside 20, and
how long one of them takes to wake. Prints a table; the ratios are what counts."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
for folder in ("integration", "kafka", "benchmarks"):
    sys.path.insert(0, str(TESTS / folder))
import dhub_server  # noqa: E402
from broker import Broker  # noqa: E402
from cached import VERSIONS  # noqa: E402
from dhub_server import Server, lag  # noqa: E402
from quick import Connection, cpu_seconds, machine, print_table  # noqa: E402

PARTITIONS = 4
TOPICS = 20


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, folder, broker, floor):
        self.folder, self.broker, self.floor = pathlib.Path(folder), broker, floor

    def run_floor(self, *arguments):
        words = [str(word) for word in (self.floor, *arguments)]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=600)
        return json.loads(done.stdout)

    def server(self, name):
        return Server(self.folder / name, [], {"DHUB_KAFKA_BOOTSTRAP_SERVERS": self.broker.address()}).start()

    # ---- rate ----

    def rate(self, messages, size, rounds):
        """Rows of (what, rate, CPU): the bare consumer and the product take turns, so that both see the same machine."""
        topic = self.broker.client.create_topic("preloaded", partitions=PARTITIONS)
        say(f"filling a topic with {messages:,} messages of {size} bytes")
        self.run_floor("fill", self.broker.address(), topic, messages, size, 1000)
        bare, ours = [], []
        for turn in range(rounds):
            say(f"reading it: {turn + 1} of {rounds}")
            found = self.run_floor("read", self.broker.address(), topic, PARTITIONS, messages)
            bare.append((messages / found["seconds"], found["cpu"] / messages * 1e6))
            ours.append(self.pass_through(f"rate-{turn}", topic, messages))
        floor, product = (tuple(statistics.median(column) for column in zip(*runs)) for runs in (bare, ours))
        return [("bare batch consumer", f"{floor[0]:,.0f} /s", f"{floor[1]:.2f} us CPU", "", ""),
                ("pipeline `steps: []`", f"{product[0]:,.0f} /s", f"{product[1]:.2f} us CPU", "of the bare rate",
                 f"{product[0] / floor[0]:.2f}")]

    def pass_through(self, name, topic, messages):
        server = self.server(name)
        try:
            server.create({"id": "pass", "name": "Pass", "options": {"event": topic}, "steps": []})
            before, begin = cpu_seconds(server.process.pid), time.monotonic()
            server.start_trigger("pass", "?from=earliest")
            server.wait_status("pass", lambda s: s["counts"]["succeeded"] == messages, 300)
            took = time.monotonic() - begin
            return messages / took, (cpu_seconds(server.process.pid) - before) / messages * 1e6
        finally:
            server.close()

    # ---- idle ----

    def idle(self, triggers, wakes):
        """(threads, MiB resident, CPU ms a second, ms of waking one at the median) with so many triggers that wait."""
        say(f"starting {triggers:,} triggers over {TOPICS} topics")
        server = self.server(f"idle-{triggers}")
        try:
            topics = [self.broker.client.create_topic(f"idle-{triggers}-{n}") for n in range(TOPICS)]
            pipe = self.start_idle(server, topics, triggers)
            cost = self.cost(server)
            times = [self.wake(server, topics[n % TOPICS], pipe) for n in range(wakes + TOPICS)]
            os.close(pipe)
            return (*cost, statistics.median(times[TOPICS:]))  # the first of each topic starts a template
        finally:
            server.close()

    def start_idle(self, server, topics, triggers):
        """One trigger a topic runs a step that stamps; the others pass through. Answers the pipe of the stamps."""
        stamp = server.data.parent / f"stamp-{triggers}"
        os.mkfifo(stamp)
        pipe = os.open(stamp, os.O_RDWR)
        script = (f"import os, time\nFD = os.open({str(stamp)!r}, os.O_WRONLY)\ndef handle(event):\n"
                  "    os.write(FD, b'%020d' % time.monotonic_ns())\n")
        for n in range(triggers):
            steps = [{"name": "stamp", "script": script}] if n < TOPICS else []
            options = {"event": topics[n % TOPICS], "scaling": {"idle_timeout": "200ms"}}
            server.create({"id": f"idle-{n}", "name": f"Idle {n}", "options": options, "steps": steps})
            server.start_trigger(f"idle-{n}")
        server.wait_status(f"idle-{triggers - 1}", lambda s: s["ready"])
        return pipe

    def wake(self, server, topic, pipe):
        """Ms from sending the publish until the step runs, in an instance that is not there yet."""
        trigger = f"idle-{topic.rpartition('-')[2]}"
        server.wait_zero_instances(trigger)
        connection = Connection(server)
        begin = time.monotonic_ns()
        connection.publish(topic, b'{"key": "k", "value": 1}\n')
        took = (int(os.read(pipe, 20)) - begin) / 1e6
        server.wait_status(trigger, lambda s: lag(s) == 0)
        return took

    @staticmethod
    def cost(server):
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        value = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.split()[1:]}
        before, begin = cpu_seconds(server.process.pid), time.monotonic()
        while (left := begin + 5 - time.monotonic()) > 0:  # nothing happens, but the call waits for a change of it
            server.status("idle-0", seen=server.status("idle-0")["etag"], wait=f"{int(left * 1000) + 1}ms")
        busy = (cpu_seconds(server.process.pid) - before) / (time.monotonic() - begin)
        return int(value["Threads"]), int(value["VmRSS"]) / 1024, busy * 1000


def idle_rows(bench, triggers, wakes):
    rows = []
    for count in (TOPICS, triggers):
        threads, resident, busy, wake = bench.idle(count, wakes)
        rows.append((f"{count:,} idle triggers, {TOPICS} topics", f"{threads} threads", f"{resident:.0f} MiB",
                     f"{busy:.1f} ms CPU a second", f"wakes in {wake:.1f} ms"))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default=dhub_server.BINARY)
    parser.add_argument("--kafka", choices=VERSIONS, default=VERSIONS[0], help="the broker's version")
    parser.add_argument("--messages", type=int, default=4_000_000, help="of the preloaded topic")
    parser.add_argument("--size", type=int, default=100, help="bytes of a message")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--triggers", type=int, default=2000)
    parser.add_argument("--wakes", type=int, default=40)
    parser.add_argument("--only", choices=["rate", "idle"])
    args = parser.parse_args()
    dhub_server.BINARY = args.binary
    floor = pathlib.Path(args.binary).parent / "tests" / "kafka_floor"
    if not floor.exists():
        sys.exit("build first: tools/build release dhub kafka_floor")
    with tempfile.TemporaryDirectory(prefix="dhub-bench-") as folder:
        say(f"starting Kafka {args.kafka}")
        broker = Broker(args.kafka, pathlib.Path(folder) / "broker").start()
        try:
            bench = Bench(folder, broker, floor)
            rows = bench.rate(args.messages, args.size, args.rounds) if args.only != "idle" else []
            rows += idle_rows(bench, args.triggers, args.wakes) if args.only != "rate" else []
        finally:
            broker.close()
    print(f"machine: {machine()}, Kafka {args.kafka}")
    print_table(rows)


if __name__ == "__main__":
    main()
