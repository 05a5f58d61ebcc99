# SPDX-License-Identifier: Apache-2.0
"""Logins of every kind that the guide names, what is said when one is refused, and that no secret is told to anybody."""
import json
import os
import subprocess
import uuid

import pytest
from client import ACLOperation
from dhub_server import BINARY
from hub import Pipeline, Server, poll, source

# Listener, mechanism, and where the password stands.
LOGINS = [("SASL_SSL", "SCRAM-SHA-512", "file"), ("SASL_SSL", "SCRAM-SHA-512", "environment"),
          ("SASL_SSL", "SCRAM-SHA-256", "file"), ("SASL_SSL", "PLAIN", "environment"), ("SASL_SSL", "OAUTHBEARER", None),
          ("SSL", None, None)]


class Site:
    """A folder with a configuration whose password stands elsewhere: in a file, or in the environment."""

    def __init__(self, directory, settings, keep="file"):
        self.directory, settings, self.environment = directory, dict(settings), {}
        self.secret = settings.get("sasl.password")
        if self.secret and keep == "file":
            (directory / "password").write_text(self.secret + "\n", encoding="utf-8")
            settings["sasl.password"] = f"${{file:{directory / 'password'}}}"
        elif self.secret:
            self.environment["KAFKA_PASSWORD"] = self.secret
            settings["sasl.password"] = "${env:KAFKA_PASSWORD}"
        self.config = directory / "hub.yaml"
        lines = "".join(f"        {name}: {json.dumps(str(value))}\n" for name, value in settings.items())
        self.config.write_text(f"topics:\n  default: main\n  clusters:\n    main:\n      kafka:\n{lines}", encoding="utf-8")
        self.server = None

    def start(self):
        self.server = Server(self.directory / "hub", ["--config", str(self.config)], self.environment).start()
        return self.server

    def run(self, *words):
        """(exit code, all that it printed) of a verb that reads the configuration."""
        done = subprocess.run([BINARY, *words, "--config", str(self.config), "--data", str(self.directory / "none")],
                              stdin=subprocess.DEVNULL, capture_output=True, env={**os.environ, **self.environment},
                              timeout=60, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()

    def close(self):
        if self.server is not None:
            self.server.close()


@pytest.fixture
def site(tmp_path):
    made = []

    def make(settings, **how):
        made.append(Site(tmp_path, settings, **how))
        return made[-1]

    yield make
    for one in made:
        one.close()


def refused(server, topic):
    """The answer to a start of a pipeline on that topic, which must be refused."""
    name = f"p-{uuid.uuid4().hex[:8]}"
    server.create({"id": name, "name": name, "options": {"event": topic}, "steps": []})
    reply = server.api("POST", f"/events/{name}")
    assert reply.status in (403, 503), reply
    return reply.json["detail"]


@pytest.mark.parametrize(("listener", "mechanism", "keep"), LOGINS)
def test_a_login_of_each_kind_works_and_its_secret_stays_one(kafka, site, tmp_path, listener, mechanism, keep):
    ours = site(kafka.settings(listener, mechanism), keep=keep)
    server, topic = ours.start(), kafka.client.create_topic()
    pipeline = Pipeline(server, topic, tmp_path).start("?from=earliest")
    server.publish(topic, [{"key": "k", "value": {"n": 1}}])
    kafka.client.produce(topic, b"theirs")
    pipeline.wait_at(2)
    assert pipeline.values() == ['{"n": 1}', "theirs"]
    read = server.api("GET", f"/topics/{topic}/messages", expect=200).json["items"]
    assert [message["offset"] for message in read] == [0, 1]
    code, told = ours.run("doctor")
    assert code == 0, told
    told += ours.run("config", "view")[1] + server.log_tail() + server.call("GET", "/metrics").body.decode()
    assert ours.secret is None or ours.secret not in told


def test_a_wrong_password_is_told_at_the_start_and_by_the_doctor(kafka, site):
    ours = site(kafka.settings("SASL_SSL", "SCRAM-SHA-512", password="not-alices"))
    topic = kafka.client.create_topic()
    assert "SASL authentication error" in refused(ours.start(), topic)
    code, told = ours.run("doctor")
    assert code == 1 and "SASL authentication error" in told and "not-alices" not in told


def test_an_authority_that_is_not_known_is_told(kafka, site):
    settings = kafka.settings("SASL_SSL", "SCRAM-SHA-512")
    del settings["ssl.ca.location"]
    ours = site(settings)
    assert "ssl.ca.location" in refused(ours.start(), kafka.client.create_topic())
    code, told = ours.run("doctor")
    assert code == 1 and "ssl.ca.location" in told


def test_a_port_that_speaks_something_else_is_told(kafka, site):
    ours = site({"bootstrap.servers": kafka.address("SASL_SSL")})
    assert "security.protocol" in refused(ours.start(), kafka.client.create_topic())


def test_a_right_that_is_missing_is_told_and_taken_up_when_it_is_given(kafka, site, tmp_path):
    server, topic = site(kafka.settings("SASL_SSL", "SCRAM-SHA-512")).start(), kafka.client.create_topic()
    pipeline = Pipeline(server, topic, tmp_path).start("?from=earliest")
    kafka.client.deny("alice", topic)
    kafka.client.produce(topic, b"1")
    condition = pipeline.wait_source("NotAuthorized")
    assert topic in condition["message"] and condition["next_action"]
    kafka.client.allow_again(topic)
    pipeline.wait(lambda status: status["ready"], "ready again")
    pipeline.wait_at(1)
    assert pipeline.values() == ["1"]


def test_a_right_to_publish_that_is_missing_is_told(kafka, site):
    server, topic = site(kafka.settings("SASL_SSL", "SCRAM-SHA-512")).start(), kafka.client.create_topic()
    kafka.client.deny("alice", topic, ACLOperation.WRITE)
    reply = poll(lambda: server.api("POST", f"/topics/{topic}/messages", '{"value":1}\n',
                                    headers={"Content-Type": "application/x-ndjson"}), lambda r: r.status != 202)
    assert reply.status == 403 and topic in reply.json["detail"]


@pytest.mark.parametrize(("name", "value", "said"), [
    ("ssl.ca.location", "/nowhere/ca.pem", "ssl.ca.location"), ("sasl.mechanism", "GSSAPI", "GSSAPI"),
    ("acks", "1", "acks"), ("no.such.property", "x", "no.such.property")])
def test_a_property_that_cannot_be_is_refused_when_the_server_starts(kafka, site, name, value, said):
    ours = site({**kafka.settings("SASL_SSL", "SCRAM-SHA-512"), name: value})
    code, told = ours.run("serve", "--listen", "127.0.0.1:0")
    assert code != 0 and said in told, told


def test_the_source_condition_names_a_login_that_is_refused_later(kafka, site, tmp_path):
    """The server comes back with a password that is no longer right."""
    ours = site(kafka.settings("SASL_SSL", "SCRAM-SHA-512"))
    server, topic = ours.start(), kafka.client.create_topic()
    pipeline = Pipeline(server, topic, tmp_path).start("?from=earliest")
    server.kill()
    (tmp_path / "password").write_text("changed\n", encoding="utf-8")
    server.start()
    status = pipeline.wait(lambda s: "SASL authentication error" in source(s)["message"], "the cause")
    assert not status["ready"]
    server.kill()
    (tmp_path / "password").write_text(ours.secret, encoding="utf-8")
    server.start()
    pipeline.wait(lambda s: s["ready"], "a ready trigger")
