# SPDX-License-Identifier: Apache-2.0
"""Just enough of C++: code without comments and strings, and where functions begin and end."""
import re
from typing import NamedTuple

_TOKEN = re.compile(
    r"""(?P<raw>\b(?:u8|[uUL])?R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)")"""
    r"""|(?P<comment>//(?:\\\n|[^\n])*|/\*.*?\*/)"""
    r"""|(?P<string>"(?:\\.|[^"\\\n])*")"""
    r"""|(?P<number>\b\d[\w.']*)"""
    r"""|(?P<char>'(?:\\.|[^'\\\n])+')""", re.DOTALL | re.VERBOSE)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def strip(text):
    """The code with comments blanked and literals emptied; every line stays where it was."""
    def replace(match):
        token = match.group(0)
        if match.group("number"):
            return token.replace("'", "0")
        if match.group("comment"):
            return _blank(token)
        return '"' + _blank(token[2:]) + '"' if len(token) > 1 else token
    return _TOKEN.sub(replace, text)


def _without_directives(code):
    """Blanks preprocessor lines, continuations included. Of #if ... #else ... the first branch stays."""
    out, skipping, continued = [], [], False
    for line in code.split("\n"):
        directive = continued or line.lstrip().startswith("#")
        if directive and not continued:
            word = line.lstrip()[1:].split(None, 1)[:1]
            word = word[0] if word else ""
            if word.startswith("if"):
                skipping.append(False)
            elif word.startswith(("else", "elif")) and skipping:
                skipping[-1] = True
            elif word.startswith("endif") and skipping:
                skipping.pop()
        continued = directive and line.rstrip().endswith("\\")
        out.append("" if directive or any(skipping) else line)
    return "\n".join(out)


class Function(NamedTuple):
    name: str
    line: int   # of its first word
    lines: int  # from there to the closing brace


class Unbalanced(Exception):
    """The braces do not match, so nothing can be said about the functions."""


_ANGLES = re.compile(r"<[^<>;{}]*>")
_SCOPE = re.compile(r"(^|\s)(namespace|class|struct|union|enum|extern)\b")
_INITIALIZER = re.compile(r"(?<![=!<>+\-*/%&|^])=(?!=)")
_OPERATOR = re.compile(r"\boperator\s*(\(\s*\)|\[\s*\]|[^\s\w(]+)")


def _flat(head):
    """The head of a block without template arguments, attributes and operator symbols."""
    head = re.sub(r"\[\[.*?\]\]", " ", head, flags=re.DOTALL)
    head = _OPERATOR.sub("operator_", head)
    previous = None
    while previous != head:
        previous, head = head, _ANGLES.sub(" ", head)
    return head


def _outside_parens(text):
    depth, out = 0, []
    for char in text:
        if char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif depth == 0:
            out.append(char)
    return "".join(out)


def _kind(head):
    """What the brace after `head` opens: a scope, a function, a member initializer or some other initializer."""
    flat = _flat(head)
    outside = _outside_parens(flat)
    if _INITIALIZER.search(outside):
        return "value"
    if "(" not in flat:
        return "scope" if _SCOPE.search(flat) else "value"
    if re.search(r"(^|\s)(class|struct|union|enum)\s[^()]*$", re.sub(r"\b(alignas|decltype)\s*\([^()]*\)", " ", flat)):
        return "scope"
    if re.search(r"(?<!:):(?!:)", outside) and re.search(r"\w\s*$", flat):
        return "member"  # `: name_{...}`: the body comes later
    return "function"


def _name(head):
    flat = re.sub(r"\b(requires|decltype|alignas|noexcept)\s*\([^()]*\)", " ", _flat(head))
    match = re.search(r"([\w:~]+)\s*\(([^()]*)", flat)
    if not match:
        return "?"
    # A test macro is named by its arguments.
    return f"{match.group(1)}({match.group(2).strip()})" if match.group(1).isupper() else match.group(1)


def _closing(code, at):
    """The index of the brace that closes the one at `at`."""
    depth = 0
    for match in re.compile(r"[{}]").finditer(code, at):
        depth += 1 if match.group() == "{" else -1
        if depth == 0:
            return match.start()
    raise Unbalanced()


def functions(stripped):
    """Every function with a body that stands at namespace or class level; what is nested counts to its outer one."""
    code = _without_directives(stripped)
    found, head_from, parens, scopes, at = [], 0, 0, 0, 0
    while at < len(code):
        char = code[at]
        if char in "(":
            parens += 1
        elif char in ")":
            parens -= 1
        elif char == "{" and parens > 0:
            at = _closing(code, at)
        elif char == "{":
            head = code[head_from:at]
            kind = _kind(head)
            if kind == "scope":
                scopes, head_from = scopes + 1, at + 1
            else:
                end = _closing(code, at)
                if kind == "function":
                    begin = head_from + len(head) - len(head.lstrip())
                    first, last = code.count("\n", 0, begin) + 1, code.count("\n", 0, end) + 1
                    found.append(Function(_name(head), first, last - first + 1))
                    head_from = end + 1
                at = end
        elif char == "}":
            scopes, head_from = scopes - 1, at + 1
            if scopes < 0:
                raise Unbalanced()
        elif char == ";" and parens == 0:
            head_from = at + 1
        elif char == ":" and code[head_from:at].strip() in ("public", "private", "protected"):
            head_from = at + 1
        at += 1
    if scopes or parens:
        raise Unbalanced()
    return found
