# SPDX-License-Identifier: Apache-2.0
"""`dhub doctor` on real brokers: the cause, and what to do about it."""
import json
import socket
import subprocess

from client import ACL, ACLOperation, ACLPermissionType, Pattern, ResourcePattern, ResourceType
from hub import BINARY, PATIENCE, poll


def doctor(directory, settings):
    """{name: check} of the cluster, and the exit code."""
    config = directory / "doctor.yaml"
    lines = "".join(f"        {key}: {json.dumps(str(value))}\n" for key, value in settings.items())
    config.write_text(f"topics:\n  clusters:\n    main:\n      kafka:\n{lines}", encoding="utf-8")
    done = subprocess.run([BINARY, "doctor", "--data", directory / "none", "--config", config, "-o", "json"],
                          capture_output=True, check=False, timeout=PATIENCE)
    checks = json.loads(done.stdout)["items"]
    return {check["name"][6:]: check for check in checks if check["name"].startswith("main: ")}, done.returncode


def test_a_cluster_that_can_be_used_is_well(kafka, tmp_path):
    kafka.client.create_topic()
    checks, code = doctor(tmp_path, kafka.settings())
    assert code == 0
    assert {name: check["state"] for name, check in checks.items()} == {
        "settings": "ok", "brokers": "ok", "topics": "ok", "positions": "ok"}, checks
    assert kafka.address() in checks["brokers"]["detail"]


def test_why_brokers_cannot_be_used_is_told_apart(kafka, tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        causes = {"Start the brokers": {"bootstrap.servers": f"127.0.0.1:{nobody.getsockname()[1]}"},
                  "host name": {"bootstrap.servers": "kafka.invalid:9092"},
                  "refuse this login": kafka.settings("SASL_PLAINTEXT", "PLAIN", password="wrong"),
                  "set security.protocol": {"bootstrap.servers": kafka.address("SSL")},
                  "ssl.ca.location": {**kafka.settings("SASL_SSL", "PLAIN"), "ssl.ca.location": str(
                      kafka.certificates.certificate("alice"))}}
        for action, settings in causes.items():
            checks, code = doctor(tmp_path, settings)
            assert code == 1, action
            assert checks["brokers"]["state"] == "fail"
            assert action in checks["brokers"]["action"], checks


def rule(user, operation, what, name, pattern=Pattern.LITERAL, permission=ACLPermissionType.DENY):
    return ACL(f"User:{user}", "*", operation, permission, ResourcePattern(what, name, pattern))


def test_rights_that_are_missing_are_named(brokers, version, tmp_path):
    broker = brokers(version, listeners=("PLAINTEXT", "SASL_PLAINTEXT"), acls=True)
    secret, plain = broker.client.create_topic("secret"), broker.client.create_topic("plain")
    broker.client.admin.create_acls([
        rule("alice", ACLOperation.DESCRIBE, ResourceType.TOPIC, secret, permission=ACLPermissionType.ALLOW),
        rule("alice", ACLOperation.READ, ResourceType.GROUP, "dhub.", Pattern.PREFIXED)])
    settings = broker.settings("SASL_PLAINTEXT", "PLAIN")
    checks, code = poll(lambda: doctor(tmp_path, settings), lambda found: "may not read 1" in found[0]["topics"]["detail"])
    assert code == 0, "it may be meant so"
    assert secret in checks["topics"]["detail"] and plain not in checks["topics"]["detail"]
    assert checks["topics"]["state"] == checks["positions"]["state"] == "warn"
    assert "dhub." in checks["positions"]["action"]
