# SPDX-License-Identifier: Apache-2.0
"""Makes callables of the steps' scripts."""
import ast
import linecache
import sys
import types

COROUTINE_FLAGS = 0x80 | 0x200  # coroutine, asynchronous generator
VARARGS = 0x04


class LoadError(Exception):
    """A script that cannot be loaded; its cause is the user's error."""


class Step:
    """One step, ready to run. ``call`` takes (event, context) when ``takes_context``, else (event)."""

    __slots__ = ("name", "topic", "filename", "module", "call", "takes_context", "is_async")

    def __init__(self, name, script, topic):
        self.name = name
        self.topic = topic
        self.filename = "<step %s>" % name
        self.module = types.ModuleType("dhub_steps." + name)
        self.module.__file__ = self.filename
        sys.modules[self.module.__name__] = self.module
        linecache.cache[self.filename] = (len(script), None, script.splitlines(True), self.filename)
        tree = compile(script, self.filename, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
        code = compile(tree, self.filename, "exec", dont_inherit=True)
        self.is_async = False
        if _defines_handle(tree.body):
            exec(code, self.module.__dict__)
            self._use_handler(self.module.__dict__.get("handle"))
        else:
            self.takes_context = True
            self.call = _plain(code, self.module.__dict__)

    def _use_handler(self, handler):
        if not callable(handler):
            raise TypeError("handle must be a function handle(event) or handle(event, context), not %s"
                            % type(handler).__name__)
        code = getattr(handler, "__code__", None)
        self.call = handler
        if code is None or hasattr(handler, "__wrapped__"):
            self.is_async = bool(getattr(code, "co_flags", 0) & COROUTINE_FLAGS)
            self.takes_context = _positional(handler) >= 2
            return
        bound = 1 if isinstance(handler, types.MethodType) else 0
        count = code.co_argcount - bound
        required = count - len(handler.__defaults__ or ())
        if required > 2 or (count == 0 and not code.co_flags & VARARGS):
            raise TypeError("handle takes %d arguments; define handle(event) or handle(event, context)" % required)
        self.takes_context = count >= 2 or bool(code.co_flags & VARARGS)
        self.is_async = bool(code.co_flags & COROUTINE_FLAGS)

    def init(self):
        """The script's init(context), if it has one."""
        return self.module.__dict__.get("init")


def _defines_handle(body):
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == "handle":
            return True
        if isinstance(node, ast.Assign):
            if any(isinstance(target, ast.Name) and target.id == "handle" for target in node.targets):
                return True
        for part in ("body", "orelse", "finalbody"):
            inner = getattr(node, part, None)
            if isinstance(node, (ast.If, ast.Try, ast.With)) and isinstance(inner, list) and _defines_handle(inner):
                return True
    return False


def _positional(handler):
    import inspect

    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(1 for p in inspect.signature(handler).parameters.values() if p.kind in kinds)


def _plain(code, base):
    def run(event, context):
        names = dict(base)
        names.update(event=event, context=context, inputs=context.inputs, output=None)
        exec(code, names)
        return names["output"]

    return run
