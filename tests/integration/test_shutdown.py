# SPDX-License-Identifier: Apache-2.0
"""How a server ends, and what the next one finds."""

import ctypes
import os
import signal
import sqlite3
import subprocess
import time

import pytest

from dhub_server import BINARY, PATIENCE, descendants, open_pidfds, wait_all_gone


def slow(record, seconds):
    script = record.STEP + (f"import time\ndef handle(event, context):\n    record(event, context, 'run')\n"
                            f"    time.sleep({seconds})\n    record(event, context, 'end')\n")
    return {"id": "slow", "name": "Slow", "options": {"event": "slow", "env": record.env(), "scaling": {"max_instances": 2}},
            "steps": [{"name": "nap", "script": script}]}


def test_sigterm_under_load_drains_and_the_next_server_goes_on(servers, record):
    server = servers().start()
    server.create(slow(record, 0.01))
    server.start_trigger("slow")
    server.publish("slow", [{"key": f"k{n}", "value": n} for n in range(400)])
    server.wait_status("slow", lambda s: s["in_flight"] > 0)
    pidfds = open_pidfds(descendants(server.process.pid))
    assert server.terminate() == 0
    wait_all_gone(pidfds)
    assert not (server.data / "server.json").exists()
    server.start()
    server.wait_drained("slow")
    ends = [line[1] for line in record.lines() if line[0] == "end"]
    assert sorted(ends) == list(range(400)), "a drained server repeats nothing and loses nothing"


def test_a_second_sigterm_ends_it_at_once(servers, record):
    server = servers().start()
    server.create(slow(record, 30))
    server.start_trigger("slow")
    server.publish("slow", [{"value": 1}])
    server.wait_status("slow", lambda s: s["in_flight"] == 1)
    pidfds = open_pidfds(descendants(server.process.pid))
    server.process.send_signal(signal.SIGTERM)
    # Draining has begun when the server says that it is not ready any more.
    while server.call("GET", "/readyz", token=False).status != 503:
        pass
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) != 0
    wait_all_gone(pidfds)
    server.start()
    assert server.message_state("slow", 0, 0)["state"] in ("waiting", "running")


def test_a_second_server_on_the_same_directory_is_refused(server):
    second = subprocess.run([BINARY, "serve", "--data", str(server.data), "--listen", "127.0.0.1:0"],
                            capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert str(server.process.pid) in second.stderr
    assert server.call("GET", "/readyz", token=False).status == 200


def test_a_newer_store_is_refused(servers):
    server = servers().start()
    assert server.terminate() == 0
    store = next(path for path in server.data.iterdir() if path.read_bytes()[:15] == b"SQLite format 3" and "runs" not in path.name)
    with sqlite3.connect(store) as database:
        database.execute("PRAGMA user_version = 9999")
    database.close()
    refused = subprocess.run([BINARY, "serve", "--data", str(server.data), "--listen", "127.0.0.1:0"],
                             capture_output=True, text=True, timeout=30)
    assert refused.returncode == 1 and "newer" in refused.stderr


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 MiB: needs the right to mount, which continuous integration has."""
    folder = tmp_path / "small"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, b"size=256m") != 0:
        pytest.skip(f"cannot mount a small file system here: {os.strerror(ctypes.get_errno())}")
    yield folder
    libc.umount2(str(folder).encode(), 2)


@pytest.mark.embedded("topics in Kafka take no room in the data directory")
def test_a_full_disk_answers_507_and_recovers(small_disk, servers, record):
    server = servers(str(small_disk / "data")).start()
    server.create(slow(record, 0))
    server.start_trigger("slow")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * (150 << 20))
    acked = 0
    while True:
        reply = server.api("POST", "/topics/slow/messages", b"x" * 100_000)
        if reply.status != 202:
            break
        acked += 1
    assert reply.status == 507 and "disk" in reply.json["detail"].lower(), reply
    server.wait_drained("slow")  # delivery goes on: its commits may use the reserve
    ballast.unlink()
    until = time.monotonic() + PATIENCE  # free space is looked at ten times a second
    while server.api("POST", "/topics/slow/messages", b"x").status != 202:
        assert time.monotonic() < until, "publishing does not recover"
    server.wait_drained("slow")
    assert len([line for line in record.lines() if line[0] == "end"]) == acked + 1
