# SPDX-License-Identifier: Apache-2.0
"""From publishing to the step: with one message each 10 ms, and from zero instances to the first event. Prints a table;
the floor is a fork of a warm Python process, measured in the same run."""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

import floors
import places
from places import say
from pulse import Stamps, publish_paced, stamping_step
from quick import cpu_seconds, machine
from series import percentile

PATIENCE = 60


def quantiles(times):
    return {"p50_ms": percentile(times, 0.5), "p99_ms": percentile(times, 0.99), "events": len(times)}


class Bench:
    def __init__(self, folder, place):
        self.folder, self.place = pathlib.Path(folder), place
        self.count = 0

    def trigger(self, server, partitions, scaling):
        """A topic, a trigger on it, and what its step tells."""
        self.count += 1
        topic = self.place.make_topic(server, f"beat-{self.count}", partitions)
        stamps = Stamps(self.folder / f"stamps-{self.count}")
        server.create({"id": topic, "name": topic, "options": {"event": topic, "scaling": scaling},
                       "steps": [{"name": "stamp", "script": stamping_step(stamps.path)}]})
        server.start_trigger(topic)
        server.wait_status(topic, lambda s: s["ready"] and len(s["partitions"]) == partitions)
        return topic, stamps

    def steady(self, partitions, seconds):
        """One message each 10 ms: latencies, and CPU of the server a second."""
        with self.place.server() as server:
            topic, stamps = self.trigger(server, partitions, {"min_instances": 1, "max_instances": 2})
            keys = [f"key-{n}" for n in range(10 * partitions)]
            publish_paced(server, topic, keys, 0.01, 100)  # and all of it is warm
            heard = stamps.wait(100, PATIENCE)
            before, begin = cpu_seconds(server.process.pid), time.monotonic()
            publish_paced(server, topic, keys, 0.01, 100 * seconds)
            busy = (cpu_seconds(server.process.pid) - before) / (time.monotonic() - begin) * 1000
            heard = stamps.wait(100 + 100 * seconds, PATIENCE) and heard
        stamps.close()
        if not heard:
            sys.exit(f"{partitions} partitions: only {len(stamps.found)} of {100 + 100 * seconds} came")
        return {**quantiles([ms for _, ms in stamps.found[100:]]), "cpu_ms": busy}

    def waking(self, rounds):
        """From zero instances, each time."""
        with self.place.server() as server:
            topic, stamps = self.trigger(server, 1, {"idle_timeout": "200ms"})
            for n in range(rounds + 1):
                server.wait_zero_instances(topic)
                publish_paced(server, topic, ["key"], 0, 1)
                if not stamps.wait(n + 1, PATIENCE):
                    sys.exit(f"message {n} did not come")
                server.wait_drained(topic)
        stamps.close()
        return quantiles([ms for _, ms in stamps.found[1:]])  # the first starts the template too


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    places.add_options(parser)
    parser.add_argument("--seconds", type=int, default=20, help="of each steady run")
    parser.add_argument("--rounds", type=int, default=40, help="of waking")
    parser.add_argument("--pairs", type=int, default=3, help="steady runs; the figures are medians")
    parser.add_argument("-o", choices=["table", "json"], default="table", dest="output")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dhub-bench-") as folder, places.chosen_place(args, folder) as place:
        bench = Bench(folder, place)
        say("one message each 10 ms")
        runs = [bench.steady(places.PARTITIONS, args.seconds) for _ in range(args.pairs)]
        steady = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        say("from zero instances")
        waking, floor = bench.waking(args.rounds), floors.template_fork(args.rounds)
    if args.output == "json":
        print(json.dumps({"machine": machine(), "steady": steady, "waking": waking, "fork_ms": floor}, indent=1))
        return
    print(f"machine: {machine()}\n{place.name} topics")
    print(f"one message each 10 ms    p50 {steady['p50_ms']:7.2f} ms  p99 {steady['p99_ms']:7.2f} ms  "
          f"server {steady['cpu_ms']:.0f} ms CPU/s")
    print(f"from zero instances       p50 {waking['p50_ms']:7.2f} ms  p99 {waking['p99_ms']:7.2f} ms")
    print(f"template fork (floor)     p50 {floor:7.2f} ms")


if __name__ == "__main__":
    main()
