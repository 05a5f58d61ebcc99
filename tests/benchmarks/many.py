# SPDX-License-Identifier: Apache-2.0
"""Does what is many cost much? Few and many partitions with one message each 10 ms; 1,000 triggers with a little backlog,
from kill -9 until all are ready again; a backlog worked off beside 2,000 clients that wait for changes of quiet
triggers, 50 of them of the loaded one, and without them. Runs take turns; figures are medians; ratios count."""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time

import places
import watch
from latency import Bench as LatencyBench
from places import say
from quick import machine
from watchers import Watchers

MANY_PARTITIONS = {"embedded": 1000, "kafka": 200}
TOPICS, QUIET = 20, 100
PATIENCE = 120


class Bench:
    def __init__(self, args, folder, place):
        self.args, self.place = args, place
        self.latency = LatencyBench(folder, place)

    # ---- partitions ----

    def partitions(self):
        many, runs = self.args.partitions or MANY_PARTITIONS[self.args.topics], {}
        for turn in range(self.args.pairs):
            for count in (places.PARTITIONS, many):
                say(f"{count} partitions: {turn + 1} of {self.args.pairs}")
                runs.setdefault(count, []).append(self.latency.steady(count, self.args.seconds))
        medians = {count: {name: statistics.median(run[name] for run in its) for name in ("cpu_ms", "p50_ms")}
                   for count, its in runs.items()}
        few, much = medians[places.PARTITIONS], medians[many]
        return {"runs": medians, "cpu_ratio": much["cpu_ms"] / max(few["cpu_ms"], 1e-9),
                "p50_ratio": much["p50_ms"] / few["p50_ms"]}

    # ---- restart ----

    def restart(self):
        """Seconds from the start of a server after kill -9 until every trigger says that it is ready."""
        say(f"{self.args.triggers:,} triggers over {TOPICS} topics")
        with self.place.server() as server:
            topics = [self.place.make_topic(server, f"restart-{n}", 1) for n in range(TOPICS)]
            for n in range(self.args.triggers):
                server.create({"id": f"t-{n}", "name": f"t-{n}", "options": {"event": topics[n % TOPICS]}, "steps": []})
                server.start_trigger(f"t-{n}")
                server.api("POST", f"/events/t-{n}/pause", expect=200)
            for topic in topics:
                server.publish(topic, [{"value": n} for n in range(10)])
            for n in range(self.args.triggers):  # the kill comes while they are at it
                server.api("POST", f"/events/t-{n}/resume", expect=200)
            server.kill()
            begin = time.monotonic()
            server.start()
            up, pace = time.monotonic() - begin, watch.Pace(0.05)
            while sum(one["ready"] for one in server.pages("/events")) < self.args.triggers:
                if time.monotonic() - begin > PATIENCE:
                    sys.exit(f"not all triggers are ready after {PATIENCE} s")
                pace.wait()
            return {"triggers": self.args.triggers, "serving_s": up, "all_ready_s": time.monotonic() - begin}

    # ---- watchers ----

    def watchers(self):
        runs = {"without": [], "with": []}
        left = 0
        for turn in range(self.args.pairs):
            for name, its in runs.items():
                say(f"{name} watchers: {turn + 1} of {self.args.pairs}")
                rate, still = self.loaded(self.args.watchers if name == "with" else 0)
                its.append(rate)
                left = max(left, still)
        ratios = [busy / alone for busy, alone in zip(runs["with"], runs["without"])]
        return {"rates": {name: statistics.median(its) for name, its in runs.items()},
                "ratio": statistics.median(ratios), "connections_left": left}

    def loaded(self, count):
        """(rate of the loaded trigger, connections that are left behind)"""
        topic = self.place.fill(0, self.args.messages, 1024)
        with self.place.server(topic) as server:
            quiet = self.place.make_topic(server, f"quiet-{time.monotonic_ns()}", 1)
            names = [f"{quiet}-{n}" for n in range(QUIET)] if count else []
            for name in names:
                server.create({"id": name, "name": name, "options": {"event": quiet}, "steps": []})
                server.start_trigger(name)
            loaded = f"loaded-{time.monotonic_ns()}"
            script = "def handle(event):\n    return None\n"
            server.create({"id": loaded, "name": loaded, "steps": [{"name": "a", "script": script}],
                           "options": {"event": topic, "scaling": {"max_instances": 2}}})
            server.start_trigger(loaded, "?from=earliest")
            watchers = Watchers(server, [loaded] * min(50, count) + [names[n % QUIET] for n in range(count - 50)])
            series = watch.follow(server, loaded, self.args.messages, watch.Patience(2.0, 60, 600))
            watchers.close()
            if series.ended:
                sys.exit(series.ended)
            return series.median(), self.connections_left(server)

    @staticmethod
    def connections_left(server):
        """Besides the one that asks, once the server has seen that they are closed."""
        pace = watch.Pace(0.1)
        for _ in range(50):
            open_now = watch.labelled(watch.metrics(server), "dhub_http_connections") or 0
            if open_now <= 1:
                break
            pace.wait()
        return max(int(open_now) - 1, 0)


def print_table(found):
    if "partitions" in found:
        for count, run in found["partitions"]["runs"].items():
            print(f"{count:,} partitions".ljust(24) + f"server {run['cpu_ms']:.0f} ms CPU/s, p50 {run['p50_ms']:.2f} ms")
        print(f"  ratio".ljust(24) + f"{found['partitions']['cpu_ratio']:.2f}, {found['partitions']['p50_ratio']:.2f}")
    if "restart" in found:
        run = found["restart"]
        print(f"{run['triggers']:,} triggers".ljust(24) + f"after kill -9: serving in {run['serving_s']:.2f} s, "
              f"all ready in {run['all_ready_s']:.2f} s")
    if "watchers" in found:
        run = found["watchers"]
        print("beside watchers".ljust(24) + f"{run['rates']['with']:,.0f} /s, without {run['rates']['without']:,.0f} /s, "
              f"ratio {run['ratio']:.2f}")
        print("  connections left".ljust(24) + f"{run['connections_left']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    places.add_options(parser)
    parser.add_argument("--only", action="append", choices=["partitions", "restart", "watchers"], help="may be repeated")
    parser.add_argument("--pairs", type=int, default=3, help="rounds of what is compared")
    parser.add_argument("--seconds", type=int, default=20, help="of a run with one message each 10 ms")
    parser.add_argument("--partitions", type=int, help="how many are many (1000; of Kafka 200)")
    parser.add_argument("--triggers", type=int, default=1000)
    parser.add_argument("--watchers", type=int, default=2000)
    parser.add_argument("--messages", type=int, default=1_000_000, help="of the loaded trigger's backlog")
    parser.add_argument("-o", choices=["table", "json"], default="table", dest="output")
    args = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # of the server too
    with tempfile.TemporaryDirectory(prefix="dhub-bench-") as folder, places.chosen_place(args, folder) as place:
        bench = Bench(args, folder, place)
        found = {name: getattr(bench, name)() for name in args.only or ("partitions", "restart", "watchers")}
    if args.output == "json":
        print(json.dumps({"machine": machine(), **found}, indent=1))
    else:
        print(f"machine: {machine()}\n{place.name} topics")
        print_table(found)


if __name__ == "__main__":
    main()
