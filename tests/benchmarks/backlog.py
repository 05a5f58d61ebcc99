# SPDX-License-Identifier: Apache-2.0
"""A backlog worked off by a trivial step: does the rate hold, whatever the keys do? The same messages without keys and
with 10, 100 and 10,000; with 100 keys while one event of one key takes 20 s (beside a run with one instance fewer) and
while one key fails and retries every 30 s; and how long events of quiet keys take while another sleeps. Rates are those
of 2 s windows without the first and the last. Runs take turns, and the figures are medians; the ratios are what counts.
A run that makes no progress is ended and told. Exit 1 when there was one."""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import threading
from typing import NamedTuple

import places
from places import say
from pulse import Stamps, publish_paced, stamping_step
from quick import machine
from series import percentile
from watch import Patience, follow, records_read

import plot

HELD_KEY = "key-7"
SLEEP_SECONDS = 20
RETRY = {"max_attempts": 1000, "backoff": "constant", "initial_delay": "30s", "max_delay": "30s", "jitter": False}

TRIVIAL = "def handle(event):\n    return None\n"
FAILING = f"def handle(event):\n    if event.key == {HELD_KEY!r}:\n        raise ValueError('again')\n    return None\n"
# Whoever makes the file sleeps, once in all instances.
SLEEPING = """import os, time
LOOK = True
def handle(event):
    global LOOK
    if LOOK and event.key == KEY:
        LOOK = False
        try:
            os.close(os.open(FLAG, os.O_CREAT | os.O_EXCL))
            time.sleep(SECONDS)
        except FileExistsError:
            pass
    return None
"""


class Scenario(NamedTuple):
    name: str
    keys: int
    beside: str            # the run that its median is compared with
    instances: int = 2
    script: str = TRIVIAL
    retry: dict = {}
    held: bool = False     # one key stands still meanwhile: rates count until the others are done
    endless: bool = False  # and never ends


SCENARIOS = {scenario.name: scenario for scenario in (
    Scenario("none", 0, ""),
    Scenario("10", 10, "none"),
    Scenario("100", 100, "none"),
    Scenario("10000", 10_000, "none"),
    Scenario("fewer", 100, "", instances=1),
    Scenario("slow", 100, "fewer", script=SLEEPING, held=True),
    Scenario("retry", 100, "100", script=FAILING, retry=RETRY, held=True, endless=True),
)}
QUIET = Scenario("latency", 100, "")
CHOICES = (*(name for name in SCENARIOS if name != "fewer"), "latency")


class Run(NamedTuple):
    """The figures of one run, and its series."""
    median: float
    slowest: float   # window, of the median
    resident: float  # MiB at most
    growth: float    # last quarter of the second
    cpu: float       # us a message
    read: float      # records read per message executed, None when the server does not count them
    series: object
    short: bool


class Bench:
    def __init__(self, args, folder, place):
        self.args, self.folder, self.place = args, pathlib.Path(folder), place
        self.patience = Patience(args.window, args.stall, args.limit)
        self.runs = {}  # scenario -> its runs, one a round
        self.count = 0

    # ---- rates ----

    def rounds(self, names):
        """Each round runs every scenario once, so that all of them see the same machine."""
        for turn in range(self.args.pairs):
            for name in names:
                say(f"round {turn + 1} of {self.args.pairs}: {name}")
                self.runs.setdefault(name, []).append(self.run(SCENARIOS[name]))

    def run(self, scenario):
        messages = self.args.messages
        topic = self.place.fill(scenario.keys, messages, self.args.size)
        self.count += 1
        pipeline = f"{scenario.name}-{self.count}"
        others = messages - -(-messages // scenario.keys) if scenario.held else messages
        with self.place.server(topic) as server:
            create(server, pipeline, topic, self.script_of(scenario), scenario)
            server.start_trigger(pipeline, "?from=earliest")
            series = follow(server, pipeline, others if scenario.endless else messages, self.patience)
            read = None if series.ended else records_read(server, pipeline)
        if series.ended:
            say(f"  {series.ended}")
        until = others if scenario.held else None
        return Run(series.median(until), series.slowest_of_median(until), series.most_resident(),
                   series.resident_growth(), series.cpu_us(), read and read / max(series.done(), 1), series,
                   series.is_short(until))

    def script_of(self, scenario):
        if scenario.script is not SLEEPING:
            return scenario.script
        flag = str(self.folder / f"slept-{self.count}")
        return f"KEY, FLAG, SECONDS = {HELD_KEY!r}, {flag!r}, {SLEEP_SECONDS}\n{SLEEPING}"

    # ---- latency ----

    def latency(self):
        """ms from publish to step of the quiet keys, 100 of them with an event a second each, while one sleeps."""
        say(f"latency of 100 quiet keys, while another sleeps {SLEEP_SECONDS} s")
        keys, per_second = [f"key-{n}" for n in range(100)], 100
        first, asleep = 2 * per_second, SLEEP_SECONDS * per_second
        self.count += 1
        stamps = Stamps(self.folder / f"stamps-{self.count}")
        before = f"    if event.key == 'sleeper': time.sleep({SLEEP_SECONDS})\n"
        with self.place.server() as server:
            topic = self.place.make_topic(server, f"quiet-{self.count}", places.PARTITIONS)
            create(server, "quiet", topic, stamping_step(stamps.path, before), QUIET)
            server.start_trigger("quiet")
            publish_paced(server, topic, keys, 1 / per_second, first)  # and both instances are there
            heard = stamps.wait(first, 60)
            begin = len(stamps.found)
            sleeper = threading.Thread(target=publish_paced, args=(server, topic, ["sleeper"], 0, 1))
            sleeper.start()
            publish_paced(server, topic, keys, 1 / per_second, asleep)
            sleeper.join()
            heard = stamps.wait(first + asleep + 1, SLEEP_SECONDS + 60) and heard
        stamps.close()
        found = [ms for key, ms in stamps.found[begin:] if key != "sleeper"]
        return {"p50_ms": percentile(found, 0.5) if found else None, "p99_ms": percentile(found, 0.99) if found else None,
                "events": len(found), "ended": None if heard else f"{len(stamps.found):,} of {first + asleep + 1:,} came"}


def create(server, pipeline, topic, script, scenario):
    scaling = {"max_instances": scenario.instances}
    options = {"event": topic, "timeout": "10m", "scaling": scaling}
    if scenario.retry:
        options["retry"] = scenario.retry
    server.create({"id": pipeline, "name": pipeline, "options": options, "steps": [{"name": "step", "script": script}]})


def median_of(runs, field):
    values = [getattr(run, field) for run in runs]
    return None if None in values else statistics.median(values)


def beside(runs, scenario):
    """Median of the ratios to the runs of the same rounds."""
    others = runs.get(scenario.beside)
    if not others:
        return None
    return statistics.median(mine.median / max(other.median, 1e-9) for mine, other in zip(runs[scenario.name], others))


def summary(runs):
    """scenario -> its figures, medians over the rounds."""
    found = {}
    for name, its in runs.items():
        found[name] = {field: median_of(its, field) for field in ("median", "slowest", "resident", "growth", "cpu", "read")}
        found[name]["beside"], found[name]["ratio"] = SCENARIOS[name].beside, beside(runs, SCENARIOS[name])
        found[name]["ended"] = [run.series.ended for run in its if run.series.ended]
        found[name]["too_short"] = any(run.short for run in its)
    return found


COLUMNS = (("keys", 6), ("median/s", 9), ("slowest", 8), ("ratio", 6), ("to", 6), ("MiB", 5), ("growth", 7),
           ("us CPU", 7), ("read", 6))


def print_table(found, latency):
    print(" ".join(name.ljust(width) if name == "keys" else name.rjust(width) for name, width in COLUMNS).rstrip())
    for name, row in found.items():
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        read = "" if row["read"] is None else f"{row['read']:.2f}"
        cells = (name, f"{row['median']:,.0f}", f"{row['slowest']:.2f}", ratio, row["beside"], f"{row['resident']:.0f}",
                 f"{row['growth']:.2f}", f"{row['cpu']:.1f}", read)
        widths = [width for _, width in COLUMNS]
        print(" ".join([cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:]))]).rstrip())
        for why in row["ended"]:
            print(f"       ENDED: {why}")
        if row["too_short"]:
            print("       too short for such windows, these are shorter: take more --messages")
    if latency:
        if latency["events"]:
            print(f"quiet keys while one sleeps {SLEEP_SECONDS} s: p50 {latency['p50_ms']:.1f} ms, "
                  f"p99 {latency['p99_ms']:.1f} ms of {latency['events']:,}")
        if latency["ended"]:
            print(f"       ENDED: {latency['ended']}")


def print_legend():
    print("slowest: window, of the median. ratio: of the medians, to the run named. MiB: of the\n"
          "server, at most; growth: its last quarter by its second. us CPU: of the server, a\n"
          "message. read: records read per record executed, where the server counts them.")


def as_json(args, found, runs, latency):
    series = {name: [[(round(at, 2), round(rate)) for at, rate in run.series.windows()] for run in its]
              for name, its in runs.items()}
    options = {key: getattr(args, key) for key in ("topics", "messages", "size", "pairs", "window")}
    return json.dumps({"machine": machine(), "options": options, "scenarios": found, "latency": latency,
                       "windows": series}, indent=1)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    places.add_options(parser)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=1024, help="bytes of a message's value")
    parser.add_argument("--pairs", type=int, default=5, help="rounds; each runs every scenario beside what it is compared with")
    parser.add_argument("--only", action="append", choices=CHOICES, help="may be repeated")
    parser.add_argument("--window", type=float, default=2.0, help="seconds over which a rate is taken")
    parser.add_argument("--stall", type=float, default=60.0, help="seconds without progress that end a run")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that end any run")
    parser.add_argument("--plot", metavar="FILE.svg", help="rates over time of the first round")
    parser.add_argument("-o", choices=["table", "json"], default="table", dest="output")
    return parser.parse_args()


def chosen_scenarios(only):
    """With what they are compared with, in the order of the table."""
    wanted = set(only or CHOICES) - {"latency"}
    wanted |= {SCENARIOS[name].beside for name in wanted} - {""}
    return [name for name in SCENARIOS if name in wanted]


def main():
    args = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="dhub-bench-") as folder, places.chosen_place(args, folder) as place:
        bench = Bench(args, folder, place)
        bench.rounds(chosen_scenarios(args.only))
        latency = bench.latency() if args.only is None or "latency" in args.only else None
    found = summary(bench.runs)
    title = f"{place.name} topics, {args.messages:,} messages of {args.size} bytes, {args.pairs} rounds"
    if args.output == "json":
        print(as_json(args, found, bench.runs, latency))
    else:
        print(f"machine: {machine()}\n{title}")
        print_table(found, latency)
        print_legend()
    if args.plot:
        lines = {name: its[0].series.windows() for name, its in bench.runs.items()}
        pathlib.Path(args.plot).write_text(plot.svg(title, lines), encoding="utf-8")
    ended = any(row["ended"] for row in found.values()) or bool(latency and latency["ended"])
    return 1 if ended else 0


if __name__ == "__main__":
    sys.exit(main())
