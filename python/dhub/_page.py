# SPDX-License-Identifier: Apache-2.0
"""The page that worker and host share: what has begun, and what is finished but not yet sent. The layout is the one of
src/runner/page.h."""
import mmap
import os

MAGIC = 0x3247415042554844  # "DHUBPAG2"


class Page:
    # Numbers of 64-bit words.
    MAGIC = 0
    RECALLED = 1
    USED = 3
    LOG_USED = 4
    CAUSE = 6
    SEVERAL = 7
    LOG_AT = 8
    LOG_LIMIT = 9
    FINISHED_AT = 10
    FINISHED_SIZE = 11
    RESULTS_AT = 12
    RESULTS_SIZE = 13
    SLOTS = 14
    FIRST_SLOT = 16
    # Words of a slot: the delivery; when it began (monotonic, ns), 0 once it is over and being sent; which of its steps
    # runs; length of the results of the steps before. A slot is called by the number of its first word.
    SINCE = 1
    STEP = 2
    FINISHED_LENGTH = 3
    SLOT_WORDS = 4
    WORDS = 1024

    CAUSE_MEMORY = 1
    # Free bytes before the results: a frame's header goes there, so that it is one write.
    HEAD_ROOM = 64

    def __init__(self, descriptor):
        self.memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        self.view = memoryview(self.memory)
        self.words = self.view[: self.WORDS * 8].cast("Q")
        if self.words[self.MAGIC] != MAGIC:
            raise RuntimeError("the shared page is of another version")
        self.log_at = self.words[self.LOG_AT]
        self.log_limit = self.words[self.LOG_LIMIT]
        self.finished_at = self.words[self.FINISHED_AT]
        self.finished_size = self.words[self.FINISHED_SIZE]
        self.results_at = self.words[self.RESULTS_AT]
        self.results_size = self.words[self.RESULTS_SIZE]
        self.slots = self.words[self.SLOTS]

    def begin_step(self, slot, step, finished):
        """Notes which step of the slot's event runs, and the results of those before it as far as they fit."""
        words = self.words
        words[slot + self.FINISHED_LENGTH] = 0
        if finished and len(finished) <= self.finished_size:
            at = self.finished_at
            if slot != self.FIRST_SLOT:
                at += (slot - self.FIRST_SLOT) // self.SLOT_WORDS * self.finished_size
            self.memory[at : at + len(finished)] = finished
            words[slot + self.FINISHED_LENGTH] = len(finished)
        words[slot + self.STEP] = step
