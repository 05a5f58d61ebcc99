# SPDX-License-Identifier: Apache-2.0
"""The worker: a process forked from the template that runs all Python steps of a pipeline."""
import os
import resource
import sys
from time import monotonic_ns
from types import AsyncGeneratorType, CoroutineType, GeneratorType

from dhub import Reject, Retry, Skip
from dhub import _capture as capture
from dhub import _errors as errors
from dhub import _values as values
from dhub import _wire as wire
from dhub._context import Context, Outbox
from dhub._event import Event, raw_key
from dhub._page import Page
from dhub._results import Ended, Pending, resolve, take_all
from dhub._steps import Step

FLUSH_AFTER_NS = 5_000_000
READ_BYTES = 120_000  # below the size from which malloc asks the system each time
SOCKET = 3
_STEP = wire.STEP
_NO_RESULT = (values.NONE, b"", b"")


class Worker:
    def __init__(self, page):
        self.page = page
        self.words = page.words
        self.log = capture.PageLog(page)
        self.in_batch = False
        self.forked = False
        self.loop = None
        self.several = None  # what runs several events at a time, where that is done
        self.used = 0
        self.count = 0
        self.frames = 0
        self.last_flush = monotonic_ns()
        self.buffer = b""
        self.position = 0
        self.steps = []
        self.find_log = self._page_log
        out = capture.Capture(lambda: self.find_log())
        sys.stdout = sys.stderr = out
        os.register_at_fork(after_in_child=self._leave)

    def _page_log(self):
        return self.log if self.in_batch else None

    def _leave(self):
        """In a child that the user's code forked: it must never answer for the worker."""
        self.forked = True
        self.in_batch = False
        self.find_log = lambda: None
        try:
            os.close(SOCKET)
        except OSError:
            pass

    # --- frames -------------------------------------------------------------------------------------------------

    def next_frame(self):
        """(type, buffer, start, end) of the next frame's payload; None at the end of the socket."""
        while True:
            have = len(self.buffer) - self.position
            need = 13
            if have >= 4:
                need = 4 + int.from_bytes(self.buffer[self.position : self.position + 4], "little")
            if have >= need:
                start = self.position + 13
                kind = self.buffer[self.position + 4]
                self.position += need
                return kind, self.buffer, start, self.position
            parts = [self.buffer[self.position :]] if have else []
            while have < need:
                chunk = os.read(SOCKET, max(READ_BYTES, need - have))
                if not chunk:
                    return None
                parts.append(chunk)
                have += len(chunk)
            self.buffer = parts[0] if len(parts) == 1 else b"".join(parts)
            self.position = 0

    def has_frame(self):
        """Whether the buffer holds all of the next frame."""
        have = len(self.buffer) - self.position
        return have >= 4 and have >= 4 + int.from_bytes(self.buffer[self.position : self.position + 4], "little")

    def send(self, raw):
        with memoryview(raw) as rest:
            at = 0
            while at < len(rest):
                at += os.write(SOCKET, rest[at:])

    def send_frame(self, kind, payload=b""):
        self.send(wire.FRAME.pack(9 + len(payload), kind, self.instance) + payload)

    # --- loading ------------------------------------------------------------------------------------------------

    def load(self, payload):
        """Takes the Start frame: environment, limits and the steps' code."""
        parts = wire.Parts(payload)
        (self.timeout_ns, _) = parts.take(_TWO_TIMES)
        (memory, _, self.concurrency, version) = parts.take(_LIMITS)
        self.pipeline_id = parts.string()
        self.pipeline_version = str(version)
        parts.string()
        environment = {}
        for _ in range(parts.take(wire.COUNT)[0]):
            name = parts.string()
            environment[name] = parts.string()
        _use_environment(environment)
        _limit_memory(memory)
        written = []
        for _ in range(parts.take(wire.COUNT)[0]):
            name, script = parts.string(), parts.string()
            (has_topic,) = parts.take(_FLAG)
            topic = parts.string()
            written.append((name, script, topic if has_topic else None))
        self.last = len(written) - 1  # number of the last step
        self.step_names = [name for name, _, _ in written]
        self.files = frozenset("<step %s>" % name for name in self.step_names)
        for name, script, topic in written:
            self.current = name
            self.steps.append(Step(name, script, topic))
        _capture_logging()
        for step in self.steps:
            self.current = step.name
            self._init(step)

    def _init(self, step):
        init = step.init()
        if callable(init):
            made = init(Context(self, step, None, []))
            if isinstance(made, CoroutineType):
                self.wait_for(made)

    def wait_for(self, awaitable):
        if self.loop is None:
            import asyncio

            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        return self.loop.run_until_complete(awaitable)

    # --- running ------------------------------------------------------------------------------------------------

    def serve(self):
        while True:
            frame = self.next_frame()
            if frame is None:
                os._exit(0)
            kind, buffer, start, _ = frame
            if kind == wire.DELIVER:
                self.in_batch = True
                self.batch(buffer, start)
                self.in_batch = False
            elif kind == wire.DRAIN:
                self.end()

    def end(self):
        """Leaves as a program does: what the user's libraries have registered to run at the end runs."""
        import atexit

        try:
            atexit._run_exitfuncs()
        finally:
            os._exit(0)

    def batch(self, buffer, at):
        words = self.words
        unpack = wire.DELIVERY.unpack_from
        pack = wire.OUTCOME.pack_into
        length, delivery_id, chain = wire.LENGTH, wire.DELIVERY_ID, wire.CHAIN
        size, fixed, succeeded = wire.OUTCOME.size, wire.OUTCOME_FIXED, wire.SUCCEEDED
        slot, recalled, used = Page.FIRST_SLOT, Page.RECALLED, Page.USED
        since, step, finished = slot + Page.SINCE, slot + Page.STEP, slot + Page.FINISHED_LENGTH
        log = self.log
        many = len(self.steps) > 1
        memory, results_at, room = self.page.memory, self.page.results_at, self.page.results_size - size
        self.frames += 1
        number = self.frames
        broken = set()
        (count,) = wire.COUNT.unpack_from(buffer, at)
        at += wire.COUNT.size
        now = self.last_flush = monotonic_ns()
        for _ in range(count):
            fields = unpack(buffer, at)
            began = now
            if many:
                words[finished] = words[step] = 0
            # Noted first, then the look at what was recalled: the host does both the other way round (RecallClaim).
            words[since] = began
            words[slot] = fields[delivery_id]
            if words[recalled] >= number or fields[chain] in broken:
                words[slot] = 0
                self.put(fields[delivery_id], wire.NOT_STARTED)
                at += fields[length] + 4
                continue
            try:
                published = self.run(buffer, at, fields)
                now = monotonic_ns()
                filled = self.used
                if published is None and filled <= room and not log.used:
                    pack(memory, results_at + filled, fixed, fields[delivery_id], succeeded, 0, 0,
                         (now - began) // 1000, 0, 0, 0, 0, 0, 0)
                    self.used = words[used] = filled + size
                    self.count += 1
                else:
                    self.put(fields[delivery_id], succeeded, 0, now - began, log=log.take(), published=published or b"")
            except Ended as ended:
                now = monotonic_ns()
                self.put_ended(fields[delivery_id], ended, now - began, log.take())
                if fields[chain] and ended.kind != wire.FILTERED:
                    broken.add(fields[chain])
                if ended.kind == wire.OUT_OF_MEMORY:
                    self.give_up()
            at += fields[length] + 4
            if now - self.last_flush > FLUSH_AFTER_NS:
                self.flush()
        words[slot] = 0
        self.flush()

    def run(self, buffer, at, fields, slot=Page.FIRST_SLOT, pending=None):
        """All steps of one run, one at a time or among several. Answers the publications, None when there are none;
        raises Ended. Where several run, a step that has to be waited for answers a Pending, with which the run goes on
        later."""
        index = fields[_STEP]
        finished = []
        blob = None
        if index or pending is not None:
            finished = self.stored(buffer, at, fields, slot) if pending is None else self.go_on(pending, slot)
            index = len(finished)
            blob = next((entry for entry in reversed(finished) if entry[0] != values.NONE), None)
        steps = self.steps
        last = self.last
        while index <= last:
            step = steps[index]
            event = Event(buffer, at, fields, blob)
            context = None
            try:
                if step.takes_context:
                    context = Context(self, step, event, finished)
                    result = step.call(event, context)
                else:
                    result = step.call(event)
                if result is None and context is None and index == last:
                    if not finished:
                        return None
                    break
                kind = type(result)
                many = kind is GeneratorType
                if many:
                    result = take_all(result)
                elif kind is CoroutineType or kind is AsyncGeneratorType:
                    if self.several is not None:
                        return Pending(event, context, finished, result)
                    many, result = self.wait_for(resolve(result))
                self.finish_step(slot, event, context, finished, result, many)
            except BaseException as error:
                raise self.ended(error, index, finished) from None
            index += 1
            if finished[-1][0] != values.NONE:
                blob = finished[-1]
        return b"".join([entry[2] for entry in finished]) or None

    def go_on(self, pending, slot):
        """The finished steps, now that what was waited for is there."""
        finished = pending.finished
        index = len(finished)
        try:
            many, result = pending.take()
            self.finish_step(slot, pending.event, pending.context, finished, result, many)
        except BaseException as error:
            raise self.ended(error, index, finished) from None
        return finished

    def stored(self, buffer, at, fields, slot):
        """The finished steps of a run that is resumed."""
        start = at + wire.RECORD_AT + 4 + fields[wire.RECORD_LENGTH] + fields[wire.TOPIC_LENGTH]
        packed = buffer[start : start + fields[wire.RESULTS_LENGTH]]
        finished = values.unpack_finished(packed)
        # What does not fit these steps is not theirs: the run begins at its first step.
        if finished is None or len(finished) != fields[_STEP] or len(finished) >= len(self.steps):
            return []
        self.page.begin_step(slot, len(finished), packed)
        return finished

    def finish_step(self, slot, event, context, finished, result, many):
        """Adds (tag, bytes, publications) of a step that has returned, and notes that the next one begins."""
        step = self.steps[len(finished)]
        is_last = len(finished) == self.last
        outbox = context._outbox if context is not None else None
        value = values.NONE, b""
        if result is not None:
            if step.topic is not None:
                if outbox is None:
                    outbox = Outbox()
                for each in result if many else (result,):
                    outbox.add(step.topic, raw_key(event), None, each)
            if not is_last:
                value = values.encode(result)
        if outbox is not None:
            finished.append((value[0], value[1], outbox.close()))
        else:
            finished.append(_NO_RESULT if value[0] == values.NONE else (value[0], value[1], b""))
        if self.forked:
            os._exit(0)
        if not is_last:
            self.page.begin_step(slot, len(finished), values.pack_finished(finished))

    def ended(self, error, index, finished):
        """What an exception in a step means."""
        if self.forked:
            os._exit(1)
        if isinstance(error, Skip):
            return Ended(wire.FILTERED, index, str(error))
        kind, retry_after = wire.ATTEMPT_FAILED, None
        if isinstance(error, Reject):
            kind = wire.REJECTED
        elif isinstance(error, Retry):
            retry_after = error.after
        elif isinstance(error, MemoryError):
            kind = wire.OUT_OF_MEMORY
        text = errors.end_of_worker(error)
        trace = errors.trace(error, self.files)
        results = values.pack_finished(finished) if finished else b""
        return Ended(kind, index, text, trace, results, retry_after)

    # --- outcomes -----------------------------------------------------------------------------------------------

    def put_ended(self, delivery, ended, took, log, slot=Page.FIRST_SLOT):
        self.put(delivery, ended.kind, ended.step, took, ended.error.encode("utf-8", "backslashreplace"),
                 ended.trace.encode("utf-8", "backslashreplace"), log, ended.results, b"", ended.retry_after, slot)

    def put(self, delivery, kind, step=0, took=0, error=b"", trace=b"", log=b"", results=b"", published=b"", after=None,
            slot=Page.FIRST_SLOT):
        """Writes an outcome into the shared page; from then on no death can lose it."""
        extra = len(error) + len(trace) + len(log) + len(results) + len(published)
        if extra > wire.MOST_OUTCOME_BYTES:
            error = b"the results of the steps are larger than 48 MiB together; pass large data on by reference"
            return self.put(delivery, wire.ATTEMPT_FAILED, step, took, error, b"", log, slot=slot)
        flags, after_ms = (0, 0) if after is None else (wire.HAS_RETRY_AFTER, int(min(after, 1e9) * 1000))
        head = wire.OUTCOME.pack(wire.OUTCOME_FIXED + extra, delivery, kind, flags, step, min(took // 1000, 0xFFFFFFFF),
                                 after_ms, len(error), len(trace), len(log), len(results), len(published))
        size = len(head) + extra
        page = self.page
        if self.used + size > page.results_size:
            self.flush()
        parts = (head, error, trace, log, results, published)
        if size > page.results_size:
            # It is over, but not yet with the host: a death now must not be charged to it.
            self.words[slot + Page.SINCE] = 0
            self.send(wire.OUTCOMES_HEAD.pack(13 + size, wire.OUTCOMES, self.instance, 1))
            for part in parts:
                self.send(part)
            return
        at = page.results_at + self.used
        for part in parts:
            if part:
                page.memory[at : at + len(part)] = part
                at += len(part)
        self.used += size
        self.count += 1
        self.words[Page.USED] = self.used

    def flush(self):
        """Sends what is finished: one write, straight from the shared page."""
        self.last_flush = monotonic_ns()
        if not self.count:
            return
        if self.several is None:
            # Nothing runs while this write waits for the host.
            self.words[Page.FIRST_SLOT] = 0
        page = self.page
        start = page.results_at - wire.OUTCOMES_HEAD.size
        wire.OUTCOMES_HEAD.pack_into(page.memory, start, 13 + self.used, wire.OUTCOMES, self.instance, self.count)
        self.send(page.view[start : page.results_at + self.used])
        self.used = 0
        self.count = 0
        self.words[Page.USED] = 0
        self.last_flush = monotonic_ns()
        if self.several is not None:
            self.several.sent()

    def timeout_text(self):
        seconds = self.timeout_ns / 1e9
        return "timed out: the attempt ran for more than %gs (options.timeout)" % seconds

    def give_up(self):
        """Memory is exhausted, and who holds it cannot be known: a fresh worker goes on with the rest."""
        for slot in range(self.page.slots):
            self.words[Page.FIRST_SLOT + Page.SLOT_WORDS * slot] = 0
        self.words[Page.CAUSE] = Page.CAUSE_MEMORY
        self.flush()
        os._exit(1)


_TWO_TIMES = wire.Struct("<qq")
_LIMITS = wire.Struct("<QQii")
_FLAG = wire.Struct("<B")


def _use_environment(given):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR") if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    for name, value in given.items():
        if name and "=" not in name and "\0" not in name + value:
            os.environ[name] = value
    if "TZ" in given:
        import time

        time.tzset()
    if given.get("PYTHONPATH"):
        sys.path[:0] = given["PYTHONPATH"].split(os.pathsep)


def _limit_memory(limit):
    """A ceiling against what grows faster than the host looks. Address space that is set aside but not used counts
    here, so it lies above the limit itself, which the host enforces."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ceiling = limit + max(limit, 1 << 30)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or hard > ceiling:
        resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))


def _capture_logging():
    import logging

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(handler)
        root.setLevel(logging.INFO)


def main(instance, page_descriptor):
    """Runs in the forked child: descriptors are in place, nothing of the user's has run. Never returns."""
    worker = Worker(Page(page_descriptor))
    os.close(page_descriptor)
    worker.instance = instance
    worker.current = ""
    worker.files = frozenset()
    try:
        worker.send_frame(wire.HELLO)
        frame = worker.next_frame()
        if frame is None:
            os._exit(0)
        _, buffer, start, end = frame
        try:
            worker.load(buffer[start:end])
        except BaseException as error:
            text = "step '%s': %s" % (worker.current, errors.end_of_worker(error))
            trace = errors.trace(error, worker.files)
            worker.send_frame(wire.FAILED, wire.string(text) + wire.string(trace))
            os._exit(1)
        serve = worker.serve
        if worker.concurrency > 1 and any(step.is_async for step in worker.steps):
            from dhub import _concurrent

            serve = _concurrent.prepare(worker).run
        worker.send_frame(wire.READY)
        serve()
    except BaseException:
        import traceback

        capture.write_pipe(traceback.format_exc().encode())
    finally:
        os._exit(70)
