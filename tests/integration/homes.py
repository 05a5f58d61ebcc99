# SPDX-License-Identifier: Apache-2.0
"""Where the topics of a run live: in the embedded log, or, with DHUB_TEST_TOPICS=kafka:HOST:PORT, on that broker."""
import functools
import os
import pathlib
import re
import sys
import time

import pytest

SETTING = "DHUB_TEST_TOPICS"
PATIENCE = float(os.environ.get("DHUB_TEST_PATIENCE", "60"))  # seconds until a wait is given up
BOOTSTRAP = "DHUB_KAFKA_BOOTSTRAP_SERVERS"
TRANSACTIONS = "dhub_store_transactions_total"
PUBLISHED = re.compile(r"""context\.publish\(\s*["']([\w.-]+)["']""")


class EmbeddedHome:
    """Topics come into being by themselves, in the data directory of each server."""

    name = cluster = "embedded"
    environment = {}

    def need(self, topics):
        pass

    def wait_outputs(self, server):
        """They are where they belong when their event is done."""

    def without_repeats(self, messages):
        return messages

    def close(self):
        pass


class KafkaHome:
    """Topics of one broker, which is the default cluster. Each is made when a test first needs it and goes with the
    test, so that names and offsets are those of the embedded log. The broker is the run's own: topics of others are not
    touched, and a test that needs the name of one fails."""

    cluster = "kafka"  # so the server calls the one that the environment names

    def __init__(self, bootstrap):
        self.name = f"kafka:{bootstrap}"
        self.environment = {BOOTSTRAP: bootstrap}
        self._made = set()

    @functools.cached_property
    def _client(self):
        # Last on the path: both folders have a conftest.
        sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "kafka"))
        from client import Client
        return Client({"bootstrap.servers": self.environment[BOOTSTRAP], "security.protocol": "plaintext"})

    def need(self, topics):
        for topic in sorted(set(topics) - self._made):
            # Messages as large and as old as the embedded log takes them.
            self._client.create_topic(topic, max_message_bytes=2 << 20, retention_ms=-1)
            self._made.add(topic)

    def wait_outputs(self, server):
        """Until none waits any more of those whose event is done now. The store's metrics are up to a second old: told
        is only what comes with a transaction of which they do not know yet."""
        known = server.metric(TRANSACTIONS)
        server.api("POST", "/topics/embedded%2Fclock/messages", b"tick", expect=202)
        deadline = time.monotonic() + PATIENCE
        while server.metric(TRANSACTIONS) == known or server.metric("dhub_outbox_entries") > 0:
            assert time.monotonic() < deadline, f"outputs still wait:\n{server.log_tail()}"

    def without_repeats(self, messages):
        """Outputs may stand twice, with equal origins."""
        first = {}
        for message in messages:
            first.setdefault(_origin(message) or message["offset"], message)
        return list(first.values())

    def close(self):
        """Forgets the topics of a test, not the broker."""
        for topic in sorted(self._made):
            self._client.delete_topic(topic)
        self._made.clear()


def _origin(message):
    """None when nobody's step published it."""
    headers = message.get("headers", {})
    if isinstance(headers, dict):
        return headers.get("dhub-origin")
    return next((header["value"] for header in reversed(headers) if header["name"] == "dhub-origin"), None)


def home_of_run():
    setting = os.environ.get(SETTING, "embedded")
    if setting == "embedded":
        return EmbeddedHome()
    kind, _, bootstrap = setting.partition(":")
    if kind != "kafka" or not bootstrap:
        raise pytest.UsageError(f"{SETTING}={setting}: it is 'embedded' or 'kafka:HOST:PORT'")
    return KafkaHome(bootstrap)


def topics_of(pipeline):
    """What a definition listens on and publishes to, in whatever part of it."""
    found = set()

    def look(value, key=None):
        if isinstance(value, dict):
            for name, one in value.items():
                look(one, name)
        elif isinstance(value, list):
            for one in value:
                look(one)
        elif isinstance(value, str) and key in ("event", "topic"):
            found.add(value)
        elif isinstance(value, str) and key == "script":
            found.update(PUBLISHED.findall(value))

    look(pipeline)
    return found
