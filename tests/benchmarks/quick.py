# SPDX-License-Identifier: Apache-2.0
"""The quick suite: from zero to the first event, Python events a core, durable publishing, CPU per event. Prints a
table; ratios to floors of the same run are what counts, absolute figures belong to the machine they are printed with."""

import argparse
import http.client
import json
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import dhub_server  # noqa: E402
import floors  # noqa: E402
from dhub_server import Server, descendants, lag  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def cpu_of_tree(server):
    """(server, everything below it): seconds of CPU so far."""
    below = 0.0
    for pid in descendants(server.process.pid):
        try:
            below += cpu_seconds(pid)
        except FileNotFoundError:
            pass
    return cpu_seconds(server.process.pid), below


class Connection:
    """One keep-alive connection that publishes prepared bodies."""

    def __init__(self, server):
        parts = urllib.parse.urlsplit(server.url)
        self.http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        self.headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/x-ndjson"}

    def publish(self, topic, body):
        self.http.request("POST", f"/api/v1/topics/{topic}/messages", body=body, headers=self.headers)
        response = self.http.getresponse()
        text = response.read()
        assert response.status == 202, (response.status, text)


def batch_body(count):
    return "".join(json.dumps({"key": f"k{n}", "value": floors.PAYLOAD}) + "\n" for n in range(count)).encode()


def zero_to_first(server, rounds):
    """Median ms from sending the publish to the moment the step runs, from zero instances."""
    stamp = server.data.parent / "stamp"
    os.mkfifo(stamp)
    reader = os.open(stamp, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    keep = os.open(stamp, os.O_WRONLY)  # the pipe stays open between instances
    script = (f"import os, time\nFD = os.open({str(stamp)!r}, os.O_WRONLY)\ndef handle(event):\n    event.data\n"
              "    os.write(FD, b'%020d' % time.monotonic_ns())\n")
    server.create({"id": "cold", "name": "Cold", "options": {"event": "cold", "scaling": {"idle_timeout": "200ms"}},
                   "steps": [{"name": "stamp", "script": script}]})
    server.start_trigger("cold")
    connection, times = Connection(server), []
    body = batch_body(1)
    for _ in range(rounds + 1):
        server.wait_zero_instances("cold")
        begin = time.monotonic_ns()
        connection.publish("cold", body)
        times.append((int(os.read(reader, 20)) - begin) / 1e6)
        server.wait_drained("cold")
    os.close(keep)
    return sorted(times[1:])  # the first also starts host and template


def python_events(server, total):
    """Runs `total` events through one JSON step; answers (events/s, server CPU us, host and worker CPU us an event)."""
    script = ("def handle(event):\n    data = event.data\n"
              "    data['seen'] = data['order']['total'] + data['order']['items'][0]['quantity']\n    return data\n")
    server.create({"id": "busy", "name": "Busy", "options": {"event": "busy", "ordering": "key",
                                                             "scaling": {"max_instances": 2, "min_instances": 1}},
                   "steps": [{"name": "json", "script": script}]})
    server.start_trigger("busy")
    server.api("POST", "/events/busy/pause", expect=200)
    connection, body = Connection(server), batch_body(100)
    for _ in range(total // 100):
        connection.publish("busy", body)
    cpu_server, cpu_below = cpu_of_tree(server)
    begin = time.monotonic()
    server.api("POST", "/events/busy/resume", expect=200)
    server.wait_status("busy", lambda s: lag(s) == 0, 120)
    took = time.monotonic() - begin
    after_server, after_below = cpu_of_tree(server)
    assert server.status("busy")["counts"]["succeeded"] == total
    return total / took, (after_server - cpu_server) / total * 1e6, (after_below - cpu_below) / total * 1e6


def durable_publish(server, seconds, connections=4):
    body, counts = batch_body(100), [0] * connections
    until = time.monotonic() + seconds

    def run(n):
        connection = Connection(server)
        while time.monotonic() < until:
            connection.publish("durable", body)
            counts[n] += 100

    before = cpu_seconds(server.process.pid)
    begin = time.monotonic()
    threads = [threading.Thread(target=run, args=(n,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begin
    return sum(counts) / took, (cpu_seconds(server.process.pid) - before) / sum(counts) * 1e6


def machine():
    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}"


def print_table(rows):
    widths = [max(len(row[n]) for row in rows) for n in range(5)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default=dhub_server.BINARY)
    parser.add_argument("--rounds", type=int, default=50, help="cold starts")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--only", choices=["cold", "python", "publish"])
    args = parser.parse_args()
    dhub_server.BINARY = args.binary
    rows = []
    with tempfile.TemporaryDirectory(prefix="dhub-bench-") as folder:
        server = Server(pathlib.Path(folder) / "data").start()
        try:
            if args.only in (None, "cold"):
                fork = floors.template_fork(args.rounds)
                times = zero_to_first(server, args.rounds)
                median = statistics.median(times)
                rows.append(("zero to first event, p50", f"{median:.2f} ms", "template fork + event", f"{fork:.2f} ms", f"{median / fork:.1f} x"))
                rows.append(("zero to first event, p90", f"{times[int(len(times) * 0.9)]:.2f} ms", "", "", ""))
            if args.only in (None, "python"):
                bare = floors.python_loop()
                rate, cpu_server, cpu_below = python_events(server, args.events)
                per_core = 1e6 / (cpu_server + cpu_below)
                rows.append(("Python JSON step", f"{rate:,.0f} events/s", "on all cores together", "", ""))
                rows.append(("  per core of CPU used", f"{per_core:,.0f} events/s", "bare CPython loop", f"{bare:,.0f} /s", f"{per_core / bare:.2f}"))
                rows.append(("  server CPU per event", f"{cpu_server:.1f} us", "host and workers", f"{cpu_below:.1f} us", ""))
            if args.only in (None, "publish"):
                syncs = floors.fsync_rate(folder)
                rate, cpu = durable_publish(server, 4.0)
                rows.append(("durable publish, batches of 100", f"{rate:,.0f} msg/s", "append + fdatasync of 100 KiB", f"{syncs * 100:,.0f} msg/s", f"{rate / syncs / 100:.2f}"))
                rows.append(("  server CPU per message", f"{cpu:.1f} us", "", "", ""))
        finally:
            server.close()
    print(f"machine: {machine()}")
    print_table(rows)


if __name__ == "__main__":
    main()
