# SPDX-License-Identifier: Apache-2.0
"""The tests' own view of a broker, by kafka-python: it shares no code with librdkafka."""
import base64
import collections
import contextlib
import json
import os
import time
import uuid

import kcat
from cached import put_client_on_path

put_client_on_path()

import kafka  # noqa: E402
from kafka import TopicPartition  # noqa: E402
from kafka.admin import (ACL, ACLFilter, ACLOperation, ACLPermissionType, ConfigResource,  # noqa: E402
                         ConfigResourceType, KafkaAdminClient, OffsetSpec, ResourcePattern, ResourcePatternFilter,
                         ResourceType)
from kafka.admin import ACLResourcePatternType as Pattern  # noqa: E402
from kafka.net.sasl.oauth import AbstractTokenProvider  # noqa: E402

PATIENCE = float(os.environ.get("DHUB_TEST_PATIENCE", "60"))  # seconds until a wait is given up

Record = collections.namedtuple("Record", "offset key value headers timestamp")
_WORDS = {"ssl.ca.location": "ssl_cafile", "ssl.certificate.location": "ssl_certfile", "ssl.key.location": "ssl_keyfile",
          "sasl.mechanism": "sasl_mechanism", "sasl.username": "sasl_plain_username", "sasl.password": "sasl_plain_password"}


def unsecured_token(user, seconds=3600):
    """A token that nobody signed, which the test brokers believe."""
    def part(content):
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    now = int(time.time())
    return f"{part({'alg': 'none'})}.{part({'sub': user, 'iat': now, 'exp': now + seconds})}."


class _Token(AbstractTokenProvider):
    def __init__(self, user):
        super().__init__()
        self.user = user

    def token(self):
        return unsecured_token(self.user)


def _options(settings):
    """librdkafka's words in kafka-python's."""
    options = {"bootstrap_servers": settings["bootstrap.servers"],
               "security_protocol": settings["security.protocol"].upper(), "bootstrap_timeout_ms": 20000}
    options.update({ours: settings[theirs] for theirs, ours in _WORDS.items() if theirs in settings})
    if settings.get("sasl.mechanism") == "OAUTHBEARER":
        options["sasl_oauth_token_provider"] = _Token(settings["sasl.oauthbearer.config"].partition("principal=")[2])
    return options


class Client:
    """Administration, producing and reading. `settings` are Broker.settings(...). Connections are made when first needed
    and closed by close()."""

    def __init__(self, settings):
        self.settings = settings
        self._options = _options(settings)
        self._admin_client = None
        self._producer = None

    def close(self):
        self._close_producer()
        if self._admin_client is not None:
            self._admin_client.close()
            self._admin_client = None

    def _close_producer(self):
        """Also when a topic changes: the producer would go by what it knew of it for minutes."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    @property
    def admin(self):
        """kafka-python's own, for what has no name here."""
        if self._admin_client is None:
            self._admin_client = KafkaAdminClient(**self._options)
        return self._admin_client

    # ---- topics ----

    def create_topic(self, name=None, partitions=1, copies=1, **configs):
        """Answers the name, a fresh one when none is given. `configs` with underscores: cleanup_policy="compact"."""
        name = name or f"t-{uuid.uuid4().hex[:12]}"
        wanted = {key.replace("_", "."): str(value) for key, value in configs.items()}
        self.admin.create_topics({name: {"num_partitions": partitions, "replication_factor": copies, "configs": wanted}},
                                 wait_for_metadata=True)
        return name

    def set_topic(self, name, **configs):
        """Changes `configs`, written as for create_topic."""
        wanted = {key.replace("_", "."): str(value) for key, value in configs.items()}
        self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, wanted)])

    def delete_topic(self, name):
        """Returns when the broker no longer knows it."""
        self._close_producer()
        self.admin.delete_topics([name])
        deadline = time.monotonic() + PATIENCE
        while name in self.admin.list_topics():
            assert time.monotonic() < deadline, f"{name} is still there"

    def add_partitions(self, name, total):
        self._close_producer()
        self.admin.create_partitions({name: total})
        self.admin.wait_for_topics([name])

    def delete_records(self, topic, before, partition=0):
        """Messages with a smaller offset are gone."""
        self.admin.delete_records({TopicPartition(topic, partition): before})

    def topic_id(self, name):
        """A topic that was deleted and created again has another."""
        return self.admin.describe_topics([name])[0]["topic_id"]

    def start_offset(self, topic, partition=0):
        return self._offset(topic, partition, OffsetSpec.EARLIEST)

    def end_offset(self, topic, partition=0):
        return self._offset(topic, partition, OffsetSpec.LATEST)

    def _offset(self, topic, partition, which):
        where = TopicPartition(topic, partition)
        return self.admin.list_partition_offsets({where: which})[where].offset

    def group_offsets(self, group):
        """{(topic, partition): committed offset}"""
        found = self.admin.list_group_offsets(group)[group]
        return {(where.topic, where.partition): what.offset for where, what in found.items()}

    # ---- messages ----

    def produce(self, topic, value, key=None, headers=(), partition=0, timestamp=None):
        """One message, acknowledged; answers its offset. `value` None is a tombstone. A header without value, and a
        tombstone without key, are beyond kafka-python: kcat sends those, and neither sets a timestamp."""
        if any(header is None for _, header in headers) or (key is None and value is None):
            assert timestamp is None
            kcat.produce(self.settings, topic, value, key, headers, partition)
            return self.end_offset(topic, partition) - 1
        return self._send(topic, value, key, headers, partition, timestamp).get(PATIENCE).offset

    def produce_many(self, topic, values, keys=None, partition=0):
        """Many at once, acknowledged; answers their offsets."""
        sent = [self._send(topic, value, keys[at] if keys else None, (), partition, None) for at, value in enumerate(values)]
        return [one.get(PATIENCE).offset for one in sent]

    def _send(self, topic, value, key, headers, partition, timestamp):
        if self._producer is None:
            self._producer = kafka.KafkaProducer(**self._options)
        return self._producer.send(topic, value, key, list(headers), partition, timestamp)

    @contextlib.contextmanager
    def transaction(self, transactional_id=None):
        """`with client.transaction() as send: send(topic, value, ...)` commits at the end, and aborts when the block
        raises; Abort is raised to abort and goes no further."""
        producer = kafka.KafkaProducer(transactional_id=transactional_id or uuid.uuid4().hex, **self._options)

        def send(topic, value, key=None, headers=(), partition=0):
            return producer.send(topic, value, key, list(headers), partition).get(PATIENCE).offset

        try:
            producer.init_transactions()
            producer.begin_transaction()
            try:
                yield send
            except BaseException as error:
                producer.abort_transaction()
                if not isinstance(error, Abort):
                    raise
            else:
                producer.commit_transaction()
        finally:
            producer.close()

    def read(self, topic, partition=0, start=None, committed=False):
        """All records up to the end that the partition has now. `committed` leaves out what was aborted, and what is in
        a transaction that is still open."""
        where = TopicPartition(topic, partition)
        level = "read_committed" if committed else "read_uncommitted"
        consumer = kafka.KafkaConsumer(isolation_level=level, auto_offset_reset="earliest", enable_auto_commit=False,
                                       **self._options)
        records, deadline = [], time.monotonic() + PATIENCE
        try:
            consumer.assign([where])
            end = consumer.end_offsets([where])[where]
            if start is None:
                consumer.seek_to_beginning(where)
            else:
                consumer.seek(where, start)
            while consumer.position(where) < end:
                assert time.monotonic() < deadline, f"read {len(records)} of {topic}/{partition}, its end is {end}"
                for batch in consumer.poll(timeout_ms=200).values():
                    records += [Record(r.offset, r.key, r.value, list(r.headers), r.timestamp) for r in batch]
            return [record for record in records if record.offset < end]
        finally:
            consumer.close()

    # ---- rights ----

    def deny(self, user, topic, operation=ACLOperation.READ):
        """From now on the user may not; the broker must run with `acls`."""
        self.admin.create_acls([ACL(f"User:{user}", "*", operation, ACLPermissionType.DENY,
                                    ResourcePattern(ResourceType.TOPIC, topic))])

    def allow_again(self, topic):
        """Takes every rule on the topic away."""
        anything = ResourcePatternFilter(ResourceType.TOPIC, topic, Pattern.LITERAL)
        self.admin.delete_acls([ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, anything)])


class Abort(Exception):
    """Raised inside `with client.transaction()` to abort it."""
