# SPDX-License-Identifier: Apache-2.0
"""Several events at a time in one worker, for async handlers. Events of a chain run one after another; an event that
is to run alone does so."""
import asyncio
import contextvars
import os
from time import monotonic_ns

from dhub import _capture as capture
from dhub import _values as values
from dhub import _wire as wire
from dhub._page import Page
from dhub._results import Ended, Pending

_log = contextvars.ContextVar("dhub_log", default=None)


def prepare(worker):
    """Before the worker says that it is ready: from then on the host goes by it."""
    if worker.loop is None:
        worker.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(worker.loop)
    worker.find_log = _log.get
    worker.words[Page.SEVERAL] = 1
    return Concurrent(worker)


class Concurrent:
    def __init__(self, worker):
        self.worker = worker
        self.limit = min(worker.concurrency, worker.page.slots)
        # A slot is free again when the outcome is with the host: until then it says that the event has begun.
        self.free = [Page.FIRST_SLOT + Page.SLOT_WORDS * slot for slot in range(self.limit)]
        self.freed = asyncio.Event()
        self.finished = []
        self.waiting = {}  # by slot: where its run stands
        self.running = set()
        self.draining = False
        worker.several = self

    def run(self):
        self.worker.loop.run_until_complete(self.main())

    async def main(self):
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(3, readable.set)
        while True:
            await readable.wait()
            readable.clear()
            # Read only when there is something: the socket itself waits.
            loop.remove_reader(3)
            frame = self.worker.next_frame()
            if frame is None:
                os._exit(0)
            kind, buffer, start, _ = frame
            if kind == wire.DELIVER:
                await self.batch(buffer, start)
            elif kind == wire.DRAIN:
                if self.running:
                    await asyncio.wait(self.running)
                self.flush()
                self.worker.end()
            if self.worker.has_frame():
                readable.set()
            loop.add_reader(3, readable.set)

    async def batch(self, buffer, at):
        worker = self.worker
        worker.frames += 1
        number = worker.frames
        chains = {}
        (count,) = wire.COUNT.unpack_from(buffer, at)
        at += wire.COUNT.size
        for _ in range(count):
            fields = wire.DELIVERY.unpack_from(buffer, at)
            alone = fields[wire.FLAGS] & wire.ALONE
            while alone and self.running:
                await asyncio.wait(self.running)
            await self.until_free()
            before = chains.get(fields[wire.CHAIN]) if fields[wire.CHAIN] else None
            task = asyncio.ensure_future(self.one(buffer, at, fields, number, before))
            if fields[wire.CHAIN]:
                chains[fields[wire.CHAIN]] = task
            self.running.add(task)
            task.add_done_callback(self.running.discard)
            if alone:
                await asyncio.wait([task])
            at += fields[wire.LENGTH] + 4
            await asyncio.sleep(0)

    async def one(self, buffer, at, fields, number, before):
        """True when the next of its chain may run."""
        worker = self.worker
        delivery = fields[wire.DELIVERY_ID]
        may_run = before is None or await before
        if not may_run or worker.words[Page.RECALLED] >= number:
            return self.give_back(delivery)
        await self.until_free()
        slot = self.free.pop()
        log = capture.ListLog(worker.page.log_limit)
        _log.set(log)
        if len(worker.steps) > 1:
            worker.page.begin_step(slot, 0, b"")
        began = monotonic_ns()
        # Noted first, then the look at what was recalled: the host does both the other way round (RecallClaim).
        worker.words[slot + Page.SINCE] = began
        worker.words[slot] = delivery
        if worker.words[Page.RECALLED] >= number:
            worker.words[slot] = 0
            self.release([slot])
            return self.give_back(delivery)
        good = True
        try:
            self.waiting.pop(slot, None)
            run = asyncio.ensure_future(self.steps(buffer, at, fields, slot))
            done, _ = await asyncio.wait([run], timeout=worker.timeout_ns / 1e9)
            if not done:
                ended = self.timed_out(buffer, at, fields, slot)
                # One that does not let itself be cancelled is ended by the host, with the worker.
                run.cancel()
                await asyncio.wait([run])
                raise ended
            published = run.result()
            worker.put(delivery, wire.SUCCEEDED, 0, monotonic_ns() - began, log=log.take(), published=published or b"",
                       slot=slot)
        except Ended as ended:
            good = ended.kind == wire.FILTERED
            worker.put_ended(delivery, ended, monotonic_ns() - began, log.take(), slot)
            if ended.kind == wire.OUT_OF_MEMORY:
                worker.give_up()
        # It is over: what blocks the loop from now on is not its doing.
        worker.words[slot + Page.SINCE] = 0
        self.finished.append(slot)
        self.settle()
        return good

    async def steps(self, buffer, at, fields, slot):
        state = self.worker.run(buffer, at, fields, slot)
        while type(state) is Pending:
            self.waiting[slot] = state
            await state.wait()
            state = self.worker.run(buffer, at, fields, slot, state)
        return state

    def timed_out(self, buffer, at, fields, slot):
        # The loop runs, so this run waits; were it not even at its first step, what was stored of it would hold.
        pending = self.waiting.get(slot)
        finished = self.worker.stored(buffer, at, fields, slot) if pending is None else pending.finished
        results = values.pack_finished(finished) if finished else b""
        return Ended(wire.TIMED_OUT, len(finished), self.worker.timeout_text(), results=results)

    def give_back(self, delivery):
        self.worker.put(delivery, wire.NOT_STARTED)
        self.settle()
        return False

    async def until_free(self):
        while not self.free:
            self.freed.clear()
            await self.freed.wait()

    def release(self, slots):
        self.free.extend(slots)
        self.freed.set()

    def sent(self):
        """What was finished is with the host."""
        for slot in self.finished:
            self.worker.words[slot] = 0
        self.release(self.finished)
        self.finished = []

    def settle(self):
        """What ends in one turn of the loop goes out in one write."""
        if not self.draining:
            self.draining = True
            self.worker.loop.call_soon(self.flush)

    def flush(self):
        self.draining = False
        self.worker.flush()
        self.sent()
