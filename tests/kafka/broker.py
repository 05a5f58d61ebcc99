#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real Kafka broker on loopback, for one test or for one run.

tests/kafka/broker.py VERSION DIRECTORY        runs one by hand until it is interrupted; prints its addresses
tests/kafka/broker.py VERSION -- COMMAND...    runs one as long as the command runs, which finds it by DHUB_TEST_KAFKA
                                               and, for tests/integration, by DHUB_TEST_TOPICS
"""
import ctypes
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cached import VERSIONS, jars_of  # noqa: E402
from certificates import Certificates  # noqa: E402
from properties import LISTENERS, SCRAM, USERS, client_settings, logging_properties, server_properties  # noqa: E402

PATIENCE = float(os.environ.get("DHUB_TEST_PATIENCE", "60"))  # seconds until a wait is given up
CLUSTER = "VB8oT3wlSGWooUUqdQSNMQ"
_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    """In the child: the JVM is killed when the process of the tests ends, however it ends."""
    _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _free_ports(count):
    """Ports below the range that outgoing connections take theirs from: while a broker is down between two lives, no
    connection of anybody's can sit down on its port (a client that tries again could even connect to itself)."""
    lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    held, ports = [], []
    while len(ports) < count:
        probe = socket.socket()
        held.append(probe)
        try:
            probe.bind(("127.0.0.1", random.randrange(10000, max(lowest, 10001 + 10 * count))))
            ports.append(probe.getsockname()[1])
        except OSError:
            pass
    for probe in held:
        probe.close()
    return ports


def _answers(port):
    """Whether a broker accepts a connection and answers an ApiVersions request."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
            reply = connection.makefile("rb").read(10)
            return len(reply) == 10 and struct.unpack(">iih", reply)[1:] == (1, 0)
    except OSError:
        return False


class Broker:
    """One broker with its own directory and ports, which it keeps from life to life.

    `listeners` are out of LISTENERS; PLAINTEXT is always there. `acls` turns the authorizer on: everybody may do
    everything until a rule is made, and whoever comes by PLAINTEXT may anything. `properties` are more lines of
    server.properties. `node` is its number, and `voters` are the addresses of all that it makes one cluster with.
    """

    def __init__(self, version, directory, listeners=("PLAINTEXT",), acls=False, properties=None, node=1):
        self.version, self.major = version, int(version.split(".", maxsplit=1)[0])
        self.directory = pathlib.Path(directory).absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.listeners = ("PLAINTEXT", *(name for name in listeners if name != "PLAINTEXT"))
        assert set(self.listeners) <= set(LISTENERS), listeners
        self.acls = acls
        self.properties = dict(properties or {})
        self.node = node
        names = (*self.listeners, "CONTROLLER")
        self.ports = dict(zip(names, _free_ports(len(names))))
        self.voters = [self.vote()]
        encrypted = any(name.endswith("SSL") for name in self.listeners)
        self.certificates = Certificates(self.directory / "certificates") if encrypted else None
        self.log = self.directory / "broker.log"
        self.process = None
        self._client = None

    # ---- where ----

    def address(self, listener="PLAINTEXT"):
        return f"127.0.0.1:{self.ports[listener]}"

    def vote(self):
        return f"{self.node}@{self.address('CONTROLLER')}"

    def settings(self, listener="PLAINTEXT", mechanism="SCRAM-SHA-512", user="alice", password=None):
        """What a client needs to log in, as properties of librdkafka. A `password` other than the user's is refused."""
        return client_settings(self, listener, mechanism, user, password)

    @property
    def client(self):
        """A Client by PLAINTEXT, made when first asked for, and anew after the broker was down."""
        if self._client is None:
            from client import Client  # only who looks needs kafka-python
            self._client = Client(self.settings())
        return self._client

    # ---- life ----

    def start(self):
        self.begin()
        self.await_answer()
        return self

    def begin(self):
        """As start(), but does not wait: a cluster of several answers when most of them are there."""
        assert not self.running(), "it runs already"
        archive = _class_archive(self.version)
        (self.directory / "server.properties").write_text(server_properties(self), encoding="utf-8")
        if not (self.directory / "data" / "meta.properties").exists():
            self._format(archive)
        self._launch([f"-XX:SharedArchiveFile={archive}"])

    def await_answer(self):
        deadline = time.monotonic() + PATIENCE
        while not _answers(self.ports["PLAINTEXT"]):
            try:
                code = self.process.wait(0.02)  # a broker that dies is noticed at once
            except subprocess.TimeoutExpired:
                code = None
            if code is not None or time.monotonic() > deadline:
                self._end(signal.SIGKILL)
                raise AssertionError(f"the broker {'does not answer' if code is None else f'ended with {code}'}:\n"
                                     + self.log_tail())

    def kill9(self):
        """No goodbye; what was acknowledged is in the page cache and survives."""
        self._end(signal.SIGKILL)

    def terminate(self):
        """A goodbye; answers the exit code."""
        return self._end(signal.SIGTERM)

    def restart(self):
        """A new life on the same ports and data; the old one is killed when it still runs."""
        self.kill9()
        return self.start()

    def pause(self):
        """Connections stay open and nobody answers, as when a machine hangs."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def close(self):
        """Ends it and forgets its data."""
        self.kill9()
        shutil.rmtree(self.directory / "data", ignore_errors=True)

    def log_tail(self):
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    # ---- inside ----

    def _java(self, main, options=(), arguments=()):
        name, content, option = logging_properties(self.major)
        (self.directory / name).write_text(content, encoding="utf-8")
        jars = ":".join(sorted(str(path) for path in jars_of(self.version).glob("*.jar")))
        return ["java", "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                f"{option}{self.directory / name}", *options, "-cp", jars, main, *map(str, arguments)]

    def _format(self, archive):
        users = []
        if any(name.startswith("SASL") for name in self.listeners):
            users = [word for user, password in USERS.items() for mechanism in SCRAM
                     for word in ("--add-scram", f"{mechanism}=[name={user},password={password}]")]
        command = self._java("kafka.tools.StorageTool", [f"-XX:SharedArchiveFile={archive}"] if archive else [],
                             ["format", "-t", CLUSTER, "-c", self.directory / "server.properties", *users])
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PATIENCE)
        if done.returncode != 0:
            raise AssertionError(f"the storage was not formatted:\n{(done.stdout + done.stderr).decode(errors='replace')}")

    def _launch(self, options):
        with open(self.log, "ab") as log:
            command = self._java("kafka.Kafka", options, [self.directory / "server.properties"])
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                            cwd=self.directory, preexec_fn=_die_with_parent)

    def _end(self, how):
        if self._client is not None:
            self._client.close()
            self._client = None
        if not self.running():
            return None
        self.process.send_signal(how)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def _class_archive(version):
    """The broker's classes, read and checked once: with them it starts in half the time. Made by a broker that ends at
    once; of one Java only, so its name holds which."""
    java = pathlib.Path(shutil.which("java") or "").resolve()
    assert java.name == "java", "there is no java: run tools/setup"
    which = hashlib.sha256(f"{java} {java.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    archive = jars_of(version) / f"classes-{which}.jsa"
    if not archive.exists():
        print(f"kafka {version}: preparing its classes, once", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as directory:
            made = archive.with_name(f"{archive.name}.{os.getpid()}")
            broker = Broker(version, directory)
            (broker.directory / "server.properties").write_text(server_properties(broker), encoding="utf-8")
            broker._format(None)
            broker._launch([f"-XX:ArchiveClassesAtExit={made}"])
            broker.await_answer()
            broker.terminate()
            made.rename(archive)
    return archive


def _run_with(version, command):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="kafka-") as directory:
        broker = Broker(version, directory).start()
        try:
            address = broker.address()
            environment = {**os.environ, "DHUB_TEST_KAFKA": address, "DHUB_TEST_TOPICS": f"kafka:{address}"}
            code = subprocess.run(command, env=environment, check=False).returncode
            if not broker.running():
                print(f"the broker has ended:\n{broker.log_tail()}", file=sys.stderr)
                return 1
            return code if code >= 0 else 128 - code
        finally:
            broker.close()


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in VERSIONS:
        sys.exit(f"{__doc__}\nversions: {', '.join(VERSIONS)}")
    if sys.argv[2] == "--":
        sys.exit(_run_with(sys.argv[1], sys.argv[3:]))
    broker = Broker(sys.argv[1], sys.argv[2], LISTENERS, acls=True).start()
    print(json.dumps({name: broker.settings(name) for name in broker.listeners}, indent=2), flush=True)
    try:
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        broker.terminate()


if __name__ == "__main__":
    main()
