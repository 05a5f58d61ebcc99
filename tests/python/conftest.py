# SPDX-License-Identifier: Apache-2.0
"""A worker of any interpreter, driven over its socket and page as the host does it."""
import mmap
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "python"
sys.path.insert(0, str(PACKAGE))

from dhub import _page, _wire as wire  # noqa: E402

DEADLINE = 30


def interpreters():
    """Every CPython from 3.9 on that is on the PATH, and the one that runs the tests."""
    found = {os.path.realpath(sys.executable): sys.executable}
    for minor in range(9, 16):
        path = shutil.which("python3.%d" % minor)
        works = path and subprocess.run([path, "-c", "pass"], capture_output=True).returncode == 0
        if works:
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


class Page:
    """The host's side of the shared page."""

    def __init__(self, slots=1, results=1 << 20, log=64 << 10):
        log_area = (log + 64 + 4095) // 4096 * 4096
        words = [0] * 16
        words[0] = _page.MAGIC
        words[8], words[9] = 8192, log
        words[10], words[11] = 8192 + log_area, 256 << 10
        words[12], words[13] = words[10] + slots * words[11] + 64, results
        words[14] = slots
        self.descriptor = os.memfd_create("page")
        size = words[12] + results
        os.ftruncate(self.descriptor, size)
        self.memory = mmap.mmap(self.descriptor, size)
        self.layout = words
        struct.pack_into("<16Q", self.memory, 0, *words)

    def word(self, index):
        return struct.unpack_from("<Q", self.memory, 8 * index)[0]

    def set_word(self, index, value):
        struct.pack_into("<Q", self.memory, 8 * index, value)

    def slot(self, delivery):
        """The number of its first word; none when the delivery is in no slot."""
        for slot in range(_page.Page.FIRST_SLOT, _page.Page.FIRST_SLOT + self.layout[14] * 4, 4):
            if self.word(slot) == delivery:
                return slot
        return None

    def finished(self, slot):
        """The stored results of the steps before the one that runs."""
        start = self.layout[10] + (slot - _page.Page.FIRST_SLOT) // 4 * self.layout[11]
        return bytes(self.memory[start : start + self.word(slot + _page.Page.FINISHED_LENGTH)])

    def results(self):
        return bytes(self.memory[self.layout[12] : self.layout[12] + self.word(_page.Page.USED)])

    def log(self):
        return bytes(self.memory[self.layout[8] : self.layout[8] + self.word(_page.Page.LOG_USED)])


class Outcome:
    def __init__(self, raw):
        fixed = wire.OUTCOME.unpack_from(raw)
        (_, self.delivery, self.kind, self.flags, self.step, self.micros, self.retry_after) = fixed[:7]
        parts, at = [], wire.OUTCOME.size
        for length in fixed[7:]:
            parts.append(raw[at : at + length])
            at += length
        assert at == len(raw)
        self.error, self.trace, self.log = (part.decode() for part in parts[:3])
        self.results, self.publications = parts[3], list(publications(parts[4]))


def publications(block):
    """(topic, key, value) of each."""
    at = 0
    while at < len(block):
        (length,) = wire.HEADER_NAME.unpack_from(block, at)
        topic = block[at + 2 : at + 2 + length].decode()
        at += 2 + length
        _, attributes, _, key, headers, value = wire.RECORD.unpack_from(block, at)
        at += wire.RECORD.size
        parts = block[at : at + key], block[at + key + headers : at + key + headers + value]
        at += key + headers + value
        yield topic, parts[0] if attributes & 1 else None, parts[1] if attributes & 2 else None


def outcomes(block):
    at = 0
    while at < len(block):
        end = at + 4 + struct.unpack_from("<I", block, at)[0]
        yield Outcome(block[at:end])
        at = end


def delivery(number, value, key=None, headers=(), chain=0, step=0, results=b"", flags=0, attempt=1, topic=b"orders"):
    block = wire.encode_headers(headers)
    attributes = (wire.HAS_KEY if key is not None else 0) | (wire.HAS_VALUE if value is not None else 0)
    body = (key or b"") + block + (value or b"")
    record = wire.RECORD.pack(wire.RECORD.size - 4 + len(body), attributes, 1_700_000_000_123, len(key or b""),
                              len(block), len(value or b"")) + body
    fixed = struct.pack("<QiiqiHHHHHI", number, 1, 0, 100 + number, attempt, chain, 0, step, flags, len(topic),
                        len(results))
    rest = fixed + record + topic + results
    return struct.pack("<I", len(rest)) + rest


class Worker:
    def __init__(self, python, steps, page=None, concurrency=1, env=(), timeout=60.0, output=None):
        self.page = page or Page(slots=concurrency)
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(DEADLINE)
        code = ("import sys, os; sys.path.insert(0, sys.argv[1]); os.dup2(int(sys.argv[2]), 3, inheritable=False);"
                "from dhub import worker; worker.main(7, int(sys.argv[3]))")
        # The page's descriptor must not be 3, where the socket goes.
        page_descriptor = os.dup(self.page.descriptor)
        self.process = subprocess.Popen(
            [python, "-I", "-c", code, str(PACKAGE), str(theirs.fileno()), str(page_descriptor)],
            pass_fds=(theirs.fileno(), page_descriptor), stdout=output, stderr=output)
        theirs.close()
        os.close(page_descriptor)
        self.buffer = b""
        text = wire.string
        written = [(s, None) if isinstance(s, str) else s for s in steps]
        payload = struct.pack("<qq", int(timeout * 1e9), 60 * 10**9)
        payload += struct.pack("<QQii", 1 << 30, 64 << 10, concurrency, 3) + text("orders") + text("")
        payload += wire.COUNT.pack(len(env)) + b"".join(text(n) + text(v) for n, v in env)
        payload += wire.COUNT.pack(len(written))
        for number, (script, topic) in enumerate(written):
            payload += text("step%d" % number) + text(script) + bytes([topic is not None]) + text(topic or "")
        assert self.frame()[0] == wire.HELLO
        self.send(wire.START, payload)
        self.started, self.start_answer = self.frame()

    def send(self, kind, payload=b""):
        self.socket.sendall(wire.FRAME.pack(9 + len(payload), kind, 7) + payload)

    def deliver(self, *deliveries):
        self.send(wire.DELIVER, wire.COUNT.pack(len(deliveries)) + b"".join(deliveries))

    def frame(self):
        head = self._exactly(13)
        length, kind, instance = wire.FRAME.unpack(head)
        assert instance == 7
        return kind, self._exactly(length - 9)

    def _exactly(self, count):
        while len(self.buffer) < count:
            more = self.socket.recv(1 << 16)
            assert more, "the worker has ended"
            self.buffer += more
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def answers(self, count):
        """The outcomes by delivery, as soon as there are so many."""
        found = {}
        while len(found) < count:
            kind, payload = self.frame()
            assert kind == wire.OUTCOMES
            fresh = list(outcomes(payload[4:]))
            assert len(fresh) == wire.COUNT.unpack_from(payload)[0]
            for outcome in fresh:
                assert outcome.delivery not in found
                found[outcome.delivery] = outcome
        return found

    def run(self, value, number=1, **more):
        self.deliver(delivery(number, value, **more))
        return self.answers(1)[number]

    def close(self):
        self.socket.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture(params=interpreters(), ids=lambda path: os.path.basename(os.path.realpath(path)))
def start_worker(request):
    """Starts workers of each interpreter in turn."""
    started = []

    def start(*steps, **more):
        worker = Worker(request.param, steps, **more)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.close()
