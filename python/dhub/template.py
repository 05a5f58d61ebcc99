# SPDX-License-Identifier: Apache-2.0
"""The template: a warm interpreter with the worker loaded and nothing else, that forks workers on request. It must
stay single-threaded: only such a process may fork."""
import sys

if sys.version_info < (3, 9):
    sys.exit("Python %d.%d is too old; steps need 3.9 or newer" % sys.version_info[:2])

import _socket
import errno
import faulthandler
import fcntl
import gc
import logging  # noqa: F401  steps use it, so that not every worker has to load it
import os
import select
import signal
import time
from struct import Struct

from dhub import worker

CONTROL = 3
LIFELINE = 4  # held open by every process below the host; closed everywhere = all are gone
MESSAGE = Struct("<BQq")  # operation, instance, number
FORK, KILL = b"F"[0], b"K"[0]
READY, FORKED, EXITED, NOT_FORKED = b"R"[0], b"D"[0], b"E"[0], b"X"[0]
DUMP_SIGNAL = signal.SIGXCPU  # asks a worker to say where it is, before it is killed
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SWEEP_SECONDS = 1.0
IDLE_BEFORE_PRELOAD_MS = 300

MEMBARRIER = {"x86_64": 324, "aarch64": 283}  # number of the system call
REGISTER_GLOBAL_EXPEDITED = 1 << 2

try:
    import ctypes

    _libc = ctypes.CDLL(None)
    _prctl = _libc.prctl
    _syscall = _libc.syscall
except (ImportError, OSError, AttributeError):
    # A death signal is missing then; the end of the sockets is still noticed.
    def _prctl(*_):
        return -1

    _syscall = _prctl


class Template:
    def __init__(self):
        self.control = _socket.socket(fileno=CONTROL)
        self.workers = {}  # pid -> instance
        self.pids = {}  # instance -> pid
        self.preloaded = False
        self.wake, wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.wake_writer = wake_writer
        # What is sent to all processes of a service at its stop is meant for the server: it drains us in its own time.
        # Handlers, not "ignored", for only those are not passed on to programs that a step runs.
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)

    def run(self):
        poll = select.poll()
        poll.register(CONTROL, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        self.tell(READY, 0, os.getpid())
        while True:
            ready = poll.poll(None if self.preloaded else IDLE_BEFORE_PRELOAD_MS)
            if not ready:
                self.preload()
            for descriptor, _ in ready:
                if descriptor == self.wake:
                    os.read(self.wake, 4096)
                    self.reap()
                elif not self.take_request():
                    os._exit(0)

    def tell(self, operation, instance, number):
        self.control.sendall(MESSAGE.pack(operation, instance, number))

    def preload(self):
        """While nobody waits: what async steps need."""
        self.preloaded = True
        import asyncio  # noqa: F401

        gc.freeze()

    def take_request(self):
        message, ancillary, _, _ = self.control.recvmsg(MESSAGE.size, _socket.CMSG_SPACE(3 * 4))
        if not message:
            return False
        operation, instance, _ = MESSAGE.unpack(message)
        if operation == FORK:
            descriptors = []
            for level, kind, raw in ancillary:
                if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                    descriptors = [int.from_bytes(raw[i : i + 4], sys.byteorder) for i in range(0, len(raw) // 4 * 4, 4)]
            self.fork(instance, descriptors)
        elif operation == KILL and instance in self.pids:
            os.kill(self.pids[instance], signal.SIGKILL)
        return True

    def fork(self, instance, descriptors):
        try:
            if len(descriptors) != 3:
                raise OSError(errno.EMFILE, "descriptors were lost")
            pid = os.fork()
        except OSError as error:
            pid = -(error.errno or errno.EAGAIN)
        if pid == 0:
            try:
                _become_worker(instance, descriptors)
            finally:
                os._exit(71)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid < 0:
            self.tell(NOT_FORKED, instance, -pid)
            return
        self.workers[pid] = instance
        self.pids[instance] = pid
        self.tell(FORKED, instance, pid)

    def reap(self):
        """Takes the status of every dead child; tells of a worker when its orphans are gone too."""
        exited = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self.workers:
                exited.append((self.workers.pop(pid), status))
        self.sweep()
        for instance, status in exited:
            del self.pids[instance]
            self.tell(EXITED, instance, status)

    def sweep(self):
        """A living worker adopts its own orphans (it is a subreaper), so any other child of ours belongs to a dead one."""
        deadline = time.monotonic() + SWEEP_SECONDS
        while True:
            orphans = [pid for pid in children() if pid not in self.workers]
            if not orphans:
                return
            for pid in orphans:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            for pid in orphans:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass
            if time.monotonic() > deadline:
                return
            time.sleep(0.0005)


def children():
    """Pids of our children as we see them. /proc may be that of an outer namespace: then its pids are translated."""
    own = os.readlink("/proc/self")
    translated = own != str(os.getpid())
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, "rb", buffering=0) as stat:
                fields = stat.read(512)
            if fields[fields.rindex(b")") + 2 :].split(None, 2)[1] != own.encode():
                continue
            found.append(_inner_pid(name) if translated else int(name))
        except (OSError, ValueError, IndexError):
            continue
    return [pid for pid in found if pid > 0]


def _inner_pid(name):
    with open("/proc/%s/status" % name, "rb") as status:
        for line in status:
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    return 0


def _become_worker(instance, descriptors):
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _let_the_host_catch_up()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    link, log, page = [_above(descriptor) for descriptor in descriptors]
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(link, worker.SOCKET, inheritable=False)
    os.set_inheritable(LIFELINE, False)
    os.closerange(5, page)
    os.closerange(page + 1, max(page + 2, 1024))
    _set_oom_score()
    faulthandler.enable(file=2, all_threads=True)
    faulthandler.register(DUMP_SIGNAL, file=2, all_threads=True)
    gc.enable()
    directory = os.path.join(sys.argv[1], str(instance))
    os.chdir(directory)
    os.environ["TMPDIR"] = directory
    worker.main(instance, page)


def _let_the_host_catch_up():
    """The host may empty our processor's store buffer before it looks at the page (SharedPage::catch_up)."""
    number = MEMBARRIER.get(os.uname().machine)
    if number is not None:
        _syscall(number, REGISTER_GLOBAL_EXPEDITED, 0, 0)


def _above(descriptor):
    """The same descriptor, out of the way of the fixed ones."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)


def _set_oom_score():
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")
    except OSError:
        pass


def main():
    gc.disable()
    gc.collect()
    gc.freeze()
    Template().run()
