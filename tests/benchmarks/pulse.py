# SPDX-License-Identifier: Apache-2.0
"""Publishes single messages at a pace and hears from the step, over a pipe outside the product, when each began."""
import json
import os
import threading
import time

from quick import Connection
from watch import Pace

STAMP_BYTES = 40


def stamping_step(pipe, before=""):
    """A script that writes key and latency of its event; `before` are lines of the handler that run first."""
    return (f"import os, time\nFD = os.open({str(pipe)!r}, os.O_WRONLY)\ndef handle(event):\n"
            "    now = time.monotonic_ns()\n"
            f"{before}"
            "    line = f\"{event.key} {now - event.data['t']}\"\n"
            f"    os.write(FD, line.ljust({STAMP_BYTES}).encode())\n")


class Stamps:
    """Reads what the steps write until close(); [(key, ms from publishing to the step)]."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self.pipe = os.open(path, os.O_RDWR)  # it stays open between instances
        self.found = []
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            # A whole stamp is written at once, and the pipe holds thousands.
            key, nanoseconds = os.read(self.pipe, STAMP_BYTES).split()
            if key == b"end":
                return
            with self._more:
                self.found.append((key.decode(), int(nanoseconds) / 1e6))
                self._more.notify_all()

    def wait(self, count, patience):
        """Answers whether so many have come."""
        with self._more:
            return self._more.wait_for(lambda: len(self.found) >= count, patience)

    def close(self):
        os.write(self.pipe, b"end 0".ljust(STAMP_BYTES))
        self._thread.join()
        os.close(self.pipe)


def publish_paced(server, topic, keys, interval, count):
    """One message each `interval`, the keys in turn. Its time is taken when it is sent."""
    connection, pace = Connection(server), Pace(interval)
    for n in range(count):
        body = json.dumps({"key": keys[n % len(keys)], "value": {"t": time.monotonic_ns()}}) + "\n"
        connection.publish(topic, body.encode())
        pace.wait()
