# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments: nothing acked is lost, order per key holds, repeats stay within the told bound."""

import http.client
import json
import os
import threading

from dhub_server import lag

SCRIPT = """
def handle(event, context):
    record(event, context, "run")
    if event.data["bad"]:
        raise ValueError("a bad one")
    record(event, context, "end")
"""
KEYS = 50
BATCH = 20


def pipeline(record):
    return {"id": "killed", "name": "Killed", "options": {
        "event": "numbers", "env": record.env(), "scaling": {"max_instances": 2},
        "retry": {"max_attempts": 2, "initial_delay": "100ms", "backoff": "constant"}},
        "steps": [{"name": "work", "script": record.STEP + SCRIPT}]}


class Publisher(threading.Thread):
    """Publishes numbered messages until all are acked; a batch whose answer is lost is sent again (so it may stand
    twice in the log), as a careful client does."""

    def __init__(self, server, total, rng, alive):
        super().__init__()
        self.server, self.total, self.rng, self.alive = server, total, rng, alive
        self.acked = {}  # offset -> sequence number
        self.error = None

    def run(self):
        try:
            sent = 0
            while sent < self.total:
                batch = [{"key": f"k{n % KEYS}", "value": {"n": n, "bad": n % 1000 == 7}}
                         for n in range(sent, min(sent + BATCH, self.total))]
                self.alive.wait(60)
                try:
                    places = self.server.publish("numbers", batch)
                except (OSError, http.client.HTTPException):
                    continue  # unknown: it may be there or not; send it again
                for message, (_, offset) in zip(batch, places):
                    self.acked[offset] = message["value"]["n"]
                sent += len(batch)
        except BaseException as error:  # told by the test
            self.error = error


def test_killed_again_and_again_nothing_is_lost(servers, record, seeded):
    total = int(os.environ.get("DHUB_KILL_MESSAGES", "4000"))
    kills = int(os.environ.get("DHUB_KILLS", "5"))
    server = servers().start()
    server.create(pipeline(record))
    server.start_trigger("killed")
    bound = server.status("killed")["in_flight_bound"]
    alive = threading.Event()
    alive.set()
    publisher = Publisher(server, total, seeded, alive)
    publisher.start()
    for _ in range(kills):
        # A kill falls after a random amount of progress, so that it finds the server in all kinds of states.
        target = len(record.lines()) + seeded.randrange(10, max(total // kills, 20))
        server.wait_status("killed", lambda s: len(record.lines()) >= target or not publisher.is_alive())
        alive.clear()
        server.kill()
        server.start()
        alive.set()
    publisher.join(120)
    assert publisher.error is None and not publisher.is_alive()
    server.wait_drained("killed", 120)
    check(server, record, publisher, kills, bound)


def check(server, record, publisher, kills, bound):
    lines = record.lines()
    ended = [line for line in lines if line[0] == "end"]
    done = {line[1] for line in ended}
    dead = {letter["offset"] for letter in server.dead_letters("killed")}
    missing = [offset for offset in publisher.acked if offset not in done and offset not in dead]
    assert not missing, f"{len(missing)} acked messages have no end: {missing[:10]}"
    for offset, n in publisher.acked.items():
        assert (offset in dead) == (n % 1000 == 7), (offset, n)
    for offset in seededless_sample(publisher.acked):
        state = server.message_state("killed", 0, offset)["state"]
        assert state == ("dead_lettered" if offset in dead else "succeeded")
    repeats = len(ended) - len(done)
    print(f"{len(publisher.acked)} acked, {len(done)} succeeded, {len(dead)} dead, {repeats} repeats in {kills} kills, bound {bound}")
    assert repeats <= kills * bound
    assert_order(lines, dead)


def seededless_sample(acked):
    offsets = sorted(acked)
    return offsets[:: max(len(offsets) // 50, 1)]


def assert_order(lines, dead):
    """A key's runs rise, but for a suffix that a crash repeats: an offset never begins before all smaller ones of its
    key have ended once."""
    offsets_of = {}
    for _, offset, key, *_ in lines:
        offsets_of.setdefault(key, set()).add(offset)
    order = {key: sorted(offsets) for key, offsets in offsets_of.items()}
    finished = {key: 0 for key in order}  # how many of the key's offsets are over, in order
    over = set()
    for what, offset, key, *_ in lines:
        if what == "run":
            place = order[key].index(offset)
            assert place <= finished[key], f"offset {offset} of {key} began before {order[key][finished[key]]} was over"
        if what == "end" or offset in dead:
            over.add(offset)
        while finished[key] < len(order[key]) and order[key][finished[key]] in over:
            finished[key] += 1
