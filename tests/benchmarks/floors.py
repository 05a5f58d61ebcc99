# SPDX-License-Identifier: Apache-2.0
"""What the machine gives without the product: the same work by the barest means, measured in the same run."""

import json
import os
import socket
import statistics
import time

PAYLOAD = {"id": 1, "customer": "c1", "order": {"total": 3, "items": [
    {"sku": f"sku-{n}", "quantity": n, "price": 1.5 * n, "note": "x" * 60} for n in range(8)]}}
PAYLOAD_BYTES = json.dumps(PAYLOAD).encode()


def python_loop(seconds=2.0):
    """Events per second of one core: decode, read two fields, add one, encode; nothing else."""
    loads, dumps = json.loads, json.dumps
    count, begin = 0, time.process_time()
    while True:
        for _ in range(1000):
            data = loads(PAYLOAD_BYTES)
            data["seen"] = data["order"]["total"] + data["order"]["items"][0]["quantity"]
            dumps(data).encode()
        count += 1000
        used = time.process_time() - begin
        if used >= seconds:
            return count / used


def template_fork(rounds=50):
    """Median ms from a request to a warm Python process until its forked child has decoded one event and answered."""
    ours, theirs = socket.socketpair()
    template = os.fork()
    if template == 0:
        ours.close()
        while theirs.recv(1):
            if os.fork() == 0:
                json.loads(PAYLOAD_BYTES)
                theirs.send(b"1")
                os._exit(0)
            os.wait()
        os._exit(0)
    theirs.close()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        ours.send(b"1")
        ours.recv(1)
        times.append((time.perf_counter() - begin) * 1000)
    ours.close()
    os.waitpid(template, 0)
    return statistics.median(times)


def fsync_rate(directory, bytes_each=100 * 1024, rounds=100):
    """Appends of one HTTP batch's bytes with fdatasync, one after another, per second."""
    path = os.path.join(directory, "floor")
    block = os.urandom(bytes_each)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    begin = time.perf_counter()
    for _ in range(rounds):
        os.write(fd, block)
        os.fdatasync(fd)
    took = time.perf_counter() - begin
    os.close(fd)
    os.unlink(path)
    return rounds / took
