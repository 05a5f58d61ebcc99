# SPDX-License-Identifier: Apache-2.0
"""Python without comments and strings; every line stays where it was."""
import io
import tokenize


def strip(text):
    """The code with comments and string contents blanked. What does not tokenize is answered as it is."""
    lines = text.splitlines(keepends=True)
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return text
    for token in tokens:
        if token.type not in (tokenize.STRING, tokenize.COMMENT):
            continue
        (first, begin), (last, end) = token.start, token.end
        for number in range(first - 1, last):
            line = lines[number]
            content = line.rstrip("\n")
            left = begin if number == first - 1 else 0
            right = end if number == last - 1 else len(content)
            lines[number] = content[:left] + " " * (right - left) + line[right:]
    return "".join(lines)
