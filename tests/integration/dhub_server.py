# SPDX-License-Identifier: Apache-2.0
"""Drives the real binary over REST: starts and kills servers, publishes, and waits on events (never on sleep)."""

import http.client
import json
import os
import pathlib
import select
import signal
import subprocess
import time
import urllib.parse

from homes import PATIENCE, EmbeddedHome, topics_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("DHUB_BINARY", str(ROOT / "build" / "release" / "dhub"))


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r}"


class Server:
    """One `dhub serve` process on a data directory and a free loopback port."""

    def __init__(self, data, arguments=(), environment=None, home=None):
        self.data = pathlib.Path(data)
        self.arguments = list(arguments)
        self.home = home or EmbeddedHome()
        self.environment = {**self.home.environment, **(environment or {})}
        self.process = None
        self.url = None
        self.token = None

    # ---- life ----

    def start(self):
        log = open(self.data.parent / f"{self.data.name}.log", "ab")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--data", str(self.data), "--listen", "127.0.0.1:0", *self.arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            env={**os.environ, **self.environment})
        line = self.process.stdout.readline().decode()
        if not line:
            raise AssertionError(f"the server ended with {self.process.wait()}:\n{self.log_tail()}")
        self.url = json.loads((self.data / "server.json").read_text())["url"]
        self.token = (self.data / "admin-token").read_text().strip()
        assert self.url in line, line
        return self

    def log_tail(self):
        return (self.data.parent / f"{self.data.name}.log").read_text(errors="replace")[-4000:]

    def kill(self):
        """kill -9: nothing of it gets to say goodbye."""
        self.process.kill()
        self.process.wait()

    def terminate(self, timeout=PATIENCE):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()

    # ---- REST ----

    def call(self, method, path, body=None, headers=None, timeout=PATIENCE, token=True):
        parts = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        all_headers = dict(headers or {})
        if token:
            all_headers.setdefault("Authorization", f"Bearer {self.token}")
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            all_headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body=body, headers=all_headers)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def api(self, method, path, body=None, expect=None, **more):
        reply = self.call(method, "/api/v1" + path, body, **more)
        if expect is not None:
            assert reply.status == expect, (method, path, reply, self.log_tail())
        return reply

    def create(self, pipeline):
        self.home.need(topics_of(pipeline))
        return self.api("POST", "/pipelines/", pipeline, expect=201).json

    def start_trigger(self, pipeline_id, query=""):
        return self.api("POST", f"/events/{pipeline_id}{query}", expect=200)

    def publish(self, topic, messages):
        """A batch of dicts as in the NDJSON form; answers their (partition, offset)s."""
        self.home.need([topic])
        lines = "".join(json.dumps(message) + "\n" for message in messages)
        reply = self.api("POST", f"/topics/{topic}/messages", lines, expect=202,
                         headers={"Content-Type": "application/x-ndjson"})
        return [(m["partition"], m["offset"]) for m in reply.json["messages"]]

    def status(self, pipeline_id, seen=None, wait="10s"):
        query = f"?wait={wait}&seen={seen}" if seen else ""
        return self.api("GET", f"/events/{pipeline_id}/status{query}", expect=200).json

    def wait_status(self, pipeline_id, condition, patience=PATIENCE, what="the condition"):
        """Waits, by the status call's own long poll, until condition(status) holds."""
        until = time.monotonic() + patience
        status = self.status(pipeline_id)
        while not condition(status):
            assert time.monotonic() < until, f"{what} did not come true: {json.dumps(status, indent=1)}\n{self.log_tail()}"
            status = self.status(pipeline_id, seen=status["etag"], wait="2s")
        return status

    def wait_drained(self, pipeline_id, patience=PATIENCE):
        return self.wait_status(pipeline_id, lambda s: s["partitions"] and lag(s) == 0, patience, "an empty backlog")

    def metric(self, name):
        text = self.call("GET", "/metrics").body.decode()
        [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(line.rsplit(" ", 1)[1])

    def outputs(self, topic):
        """What steps published to the first partition of a topic, each once."""
        self.home.wait_outputs(self)
        messages = self.api("GET", f"/topics/{topic}/messages?partition=0&offset=0&limit=500", expect=200).json["items"]
        return self.home.without_repeats(messages)

    def wait_zero_instances(self, pipeline_id, patience=PATIENCE):
        return self.wait_status(pipeline_id, lambda s: instances(s) == 0, patience, "zero instances")

    def dead_letters(self, pipeline_id):
        return self.pages(f"/events/{pipeline_id}/dead-letters")

    def pages(self, path):
        items, token = [], None
        while True:
            query = "?limit=500" + (f"&token={token}" if token else "")
            page = self.api("GET", path + query, expect=200).json
            items += page["items"]
            token = page.get("token")
            if not token:
                return items

    def message_state(self, pipeline_id, partition, offset):
        path, until = f"/events/{pipeline_id}/messages/{partition}/{offset}", time.monotonic() + PATIENCE
        # 503: a server that has just started has not looked at the cluster yet.
        while (reply := self.api("GET", path)).status == 503 and time.monotonic() < until:
            pass
        assert reply.status == 200, (path, reply, self.log_tail())
        return reply.json


def lag(status):
    """None while it is not known: the topic's cluster has not been reached yet."""
    lags = [p.get("lag") for p in status["partitions"]]
    return None if not lags or None in lags else sum(lags)


def instances(status):
    return status["instances"]["count"]


def descendants(pid):
    """All processes below `pid`, by /proc."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def open_pidfds(pids):
    """pid -> pidfd of those that still exist; open them before the kill, so that no number is mistaken."""
    fds = {}
    for pid in pids:
        try:
            fds[pid] = os.pidfd_open(pid)
        except ProcessLookupError:
            pass
    return fds


def wait_all_gone(pidfds, patience=PATIENCE):
    until = time.monotonic() + patience
    for pid, fd in pidfds.items():
        ready, _, _ = select.select([fd], [], [], max(until - time.monotonic(), 0))
        os.close(fd)
        assert ready, f"process {pid} outlives its owner: {pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()!r}"
