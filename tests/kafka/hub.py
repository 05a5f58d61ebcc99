# SPDX-License-Identifier: Apache-2.0
"""The real server on a real broker: pipelines whose step writes down what it sees, outside the product."""
import json
import os
import pathlib
import sys
import time
import uuid

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from dhub_server import BINARY, PATIENCE, Server, lag  # noqa: E402

# One line an execution, by one write call. Bytes are hex, so that nothing is lost on the way.
STEP = '''import json
import os


def shown(value):
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return value


def handle(event, context):
    seen = {"topic": event.topic, "partition": event.partition, "offset": event.offset, "key": shown(event.key),
            "value": None if event.value is None else event.value.hex(), "data": shown(event.data),
            "headers": [[name, shown(value)] for name, value in event.headers.pairs], "attempt": context.attempt,
            "id": event.id, "source": event.source, "type": event.type, "subject": event.subject, "time": event.time,
            "timestamp": event.timestamp}
    fd = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, (json.dumps(seen) + "\\n").encode())
    os.close(fd)
'''


class Pipeline:
    """A pipeline on one topic, and what its step saw."""

    def __init__(self, server, topic, directory, steps=None, env=None, **options):
        self.server, self.topic = server, topic
        self.id = f"p-{uuid.uuid4().hex[:12]}"
        self._seen = pathlib.Path(directory) / f"{self.id}.seen"
        self._seen.touch()
        server.create({"id": self.id, "name": self.id, "steps": steps or [{"name": "see", "script": STEP}],
                       "options": {"event": topic, "env": {"SEEN": str(self._seen), **(env or {})}, **options}})

    def start(self, query=""):
        """Answers when events are executed as they come."""
        # A topic that has just been made may have no leader for a moment, which is told.
        reply = poll(lambda: self.server.api("POST", f"/events/{self.id}{query}"), lambda answer: answer.status != 503)
        assert reply.status == 200, reply
        self.wait(lambda s: s["ready"], "a ready trigger")
        return self

    def stop(self):
        self.server.api("DELETE", f"/events/{self.id}", expect=200)

    def pause(self):
        self.server.api("POST", f"/events/{self.id}/pause", expect=200)

    def resume(self):
        self.server.api("POST", f"/events/{self.id}/resume", expect=200)

    # ---- what it is like ----

    def wait(self, condition, what):
        return self.server.wait_status(self.id, condition, PATIENCE, what)

    def wait_source(self, reason):
        """Until the source's condition has this reason; answers the condition."""
        status = self.wait(lambda s: source(s)["reason"] == reason, f"the reason {reason}")
        return source(status)

    def wait_at(self, *cursors):
        """Until each partition, by number, has come to its cursor and knows of nothing beyond it."""
        wanted = dict(enumerate(cursors))
        return self.wait(lambda s: cursors_of(s) == wanted and lag(s) == 0, f"the cursors {wanted}")

    def state(self, offset, partition=0):
        return self.server.message_state(self.id, partition, offset)["state"]

    def states(self, offsets, partition=0):
        return [self.state(offset, partition) for offset in offsets]

    def metric(self, state):
        """Of dhub_events_finished_total, in this life of the server."""
        text = self.server.call("GET", "/metrics").body.decode()
        name = f'dhub_events_finished_total{{pipeline="{self.id}",state="{state}"}} '
        [line] = [line for line in text.splitlines() if line.startswith(name)]
        return int(float(line[len(name):]))

    # ---- what it did ----

    def seen(self):
        """One dictionary an execution, in their order."""
        text = self._seen.read_text(encoding="utf-8")
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def values(self, partition=None):
        """The values as text (None for a tombstone), in the order of execution."""
        return [None if one["value"] is None else bytes.fromhex(one["value"]).decode() for one in self.seen()
                if partition in (None, one["partition"])]

    def offsets(self, partition=0):
        return [one["offset"] for one in self.seen() if one["partition"] == partition]

    def wait_group(self, broker, *cursors):
        """Until Kafka's side has been told where each partition stands."""
        wanted = {(self.topic, number): cursor for number, cursor in enumerate(cursors)}
        poll(lambda: group_offsets(broker, f"dhub.{self.id}"), lambda found: found == wanted)


def group_offsets(broker, group):
    """None while the broker itself does not know them yet."""
    from client import kafka  # only who looks needs kafka-python
    not_yet = ("CoordinatorLoadInProgressError", "CoordinatorNotAvailableError", "NotCoordinatorError")
    try:
        return broker.client.group_offsets(group)
    except tuple(getattr(kafka.errors, name) for name in not_yet):
        return None


def source(status):
    return next(c for c in status["conditions"] if c["type"] == "Source")


def counts(status):
    return status["counts"]


def cursors_of(status):
    return {p["partition"]: p["cursor"] for p in status["partitions"]}


def poll(ask, condition):
    """Asks somebody who tells nothing by himself, again and again, until the answer is right; answers it."""
    deadline = time.monotonic() + PATIENCE
    while not condition(answer := ask()):
        assert time.monotonic() < deadline, f"still {answer}"
    return answer


def kafka_server(directory, broker, name="hub", **settings):
    """A server, not started, whose default cluster is the broker. `settings` with underscores: librdkafka's."""
    directory = pathlib.Path(directory)
    properties = {**broker.settings(), **{key.replace("_", "."): value for key, value in settings.items()}}
    config = directory / f"{name}.yaml"
    lines = "".join(f"        {key}: {json.dumps(str(value))}\n" for key, value in properties.items())
    config.write_text(f"topics:\n  default: main\n  clusters:\n    main:\n      kafka:\n{lines}", encoding="utf-8")
    os.chmod(config, 0o600)
    return Server(directory / name, ["--config", str(config)])
