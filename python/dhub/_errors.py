# SPDX-License-Identifier: Apache-2.0
"""Exceptions as text: one line for the list, a traceback that begins in the user's code."""
import traceback

MOST_ERROR = 2000
MOST_TRACE = 16000
MOST_FRAMES = 60


def one_line(error):
    try:
        name = type(error).__name__
        module = type(error).__module__
        if module and module not in ("builtins", "dhub", "dhub._values") and not module.startswith("dhub_steps."):
            name = "%s.%s" % (module, name)
        lines = str(error).strip().splitlines()
        text = "%s: %s" % (name, lines[0]) if lines else name
    except Exception:
        text = "%s: <its text could not be made>" % type(error).__name__
    return text if len(text) <= MOST_ERROR else text[:MOST_ERROR] + "..."


def trace(error, files):
    """The traceback without our own frames before the user's code (``files``: names of the steps' sources)."""
    try:
        start = error.__traceback__
        while start is not None and start.tb_frame.f_code.co_filename not in files:
            start = start.tb_next
        shown = traceback.TracebackException(type(error), error, start, limit=-MOST_FRAMES)
        text = "".join(shown.format())
    except Exception:
        text = one_line(error)
    if len(text) <= MOST_TRACE:
        return text
    half = MOST_TRACE // 2
    return text[:half] + "\n... [cut] ...\n" + text[-half:]


def end_of_worker(error):
    """What is told of the exceptions that are not errors of the usual kind."""
    if isinstance(error, SystemExit):
        return "SystemExit: the step called sys.exit(%s); return instead, or raise dhub.Reject or dhub.Skip" % (
            "" if error.code is None else repr(error.code))
    return one_line(error)
