# SPDX-License-Identifier: Apache-2.0
"""What a step prints and logs, kept per event within a bound."""
import io
import os


def size_text(size):
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit and size % unit == 0:
            return "%d%s" % (size // unit, name)
    return "%dB" % size


def cut_mark(limit):
    return ("... [cut at %s]" % size_text(limit)).encode()


def clip(text, room):
    """The first ``room`` bytes of the text, no character split, and whether something was left out."""
    raw = (text if len(text) <= room else text[: room + 1]).encode("utf-8", "backslashreplace")
    if len(raw) <= room:
        return raw, False
    while room > 0 and raw[room] & 0xC0 == 0x80:
        room -= 1
    return raw[:room], True


class PageLog:
    """The log of the one event that runs, written straight into the shared page: it survives the death of the worker
    and costs no memory beyond it."""

    def __init__(self, page):
        self._memory = page.memory
        self._words = page.words
        self._start = page.log_at
        self._used_word = page.LOG_USED
        self.limit = page.log_limit
        self.used = 0
        self.cut = False

    def write(self, text):
        if self.cut:
            return
        raw, self.cut = clip(text, self.limit - self.used)
        if self.cut:
            raw += cut_mark(self.limit)
        at = self._start + self.used
        self._memory[at : at + len(raw)] = raw
        self.used += len(raw)
        self._words[self._used_word] = self.used

    def take(self):
        raw = self._memory[self._start : self._start + self.used]
        self.used = 0
        self.cut = False
        self._words[self._used_word] = 0
        return raw


class ListLog:
    """The log of one of several events that run at a time."""

    def __init__(self, limit):
        self.limit = limit
        self.used = 0
        self.cut = False
        self._parts = []

    def write(self, text):
        if self.cut:
            return
        raw, self.cut = clip(text, self.limit - self.used)
        self.used += len(raw)
        self._parts.append(raw + cut_mark(self.limit) if self.cut else raw)

    def take(self):
        return b"".join(self._parts)


class Capture(io.TextIOBase):
    """sys.stdout and sys.stderr. What is written outside of any event goes to the worker's pipe."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, find_log):
        super().__init__()
        self._find_log = find_log
        self.buffer = _Buffer(self)

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not %s" % type(text).__name__)
        log = self._find_log()
        if log is not None:
            log.write(text)
        else:
            write_pipe(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def writable(self):
        return True

    def fileno(self):
        return 1


class _Buffer(io.RawIOBase):
    """sys.stdout.buffer, for those who print bytes."""

    def __init__(self, text):
        super().__init__()
        self._text = text

    def write(self, raw):
        self._text.write(bytes(raw).decode("utf-8", "backslashreplace"))
        return len(raw)

    def writable(self):
        return True

    def fileno(self):
        return 1


def write_pipe(raw):
    try:
        while raw:
            raw = raw[os.write(1, raw) :]
    except OSError:
        pass  # nobody reads any more
