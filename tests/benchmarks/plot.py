# SPDX-License-Identifier: Apache-2.0
"""A plot of rates over time as SVG, by hand: one line a run, axes with round numbers, a legend."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 900, 420
LEFT, TOP, RIGHT, BOTTOM = 80, 40, 180, 50
# Apart for eyes that do not tell red from green.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def round_step(most, steps=5):
    """The smallest of 1, 2, 5 times a power of ten that leaves at most so many steps."""
    unit = 10.0 ** math.floor(math.log10(most / steps))
    return next(unit * times for times in (1, 2, 5, 10) if unit * times * steps >= most * (1 - 1e-9))


class Frame:
    """From values to places on the paper."""

    def __init__(self, seconds, rate):
        self.step_x, self.step_y = round_step(max(seconds, 1)), round_step(max(rate, 1))
        self.most_x, self.most_y = max(seconds, 1), max(rate, 1) * 1.05

    def x(self, seconds):
        return LEFT + seconds / self.most_x * (WIDTH - LEFT - RIGHT)

    def y(self, rate):
        return HEIGHT - BOTTOM - rate / self.most_y * (HEIGHT - TOP - BOTTOM)


def _text(x, y, words, anchor="middle"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _line(x1, y1, x2, y2, colour="#dddddd"):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _axes(frame):
    parts = []
    for n in range(int(frame.most_y / frame.step_y) + 1):
        y = frame.y(n * frame.step_y)
        parts += [_line(LEFT, y, WIDTH - RIGHT, y), _text(LEFT - 8, y + 4, f"{n * frame.step_y:,.0f}", "end")]
    for n in range(int(frame.most_x / frame.step_x) + 1):
        x = frame.x(n * frame.step_x)
        parts += [_line(x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5, "#666666"),
                  _text(x, HEIGHT - BOTTOM + 20, f"{n * frame.step_x:g} s")]
    return parts


def svg(title, lines):
    """`lines`: name -> [(seconds, messages a second)]."""
    points = [point for line in lines.values() for point in line]
    frame = Frame(max((x for x, _ in points), default=1), max((y for _, y in points), default=1))
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             'font-size="12">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', _text(WIDTH / 2, 22, title),
             *_axes(frame)]
    for number, (name, line) in enumerate(lines.items()):
        colour, y = COLOURS[number % len(COLOURS)], TOP + 20 * number
        places = " ".join(f"{frame.x(x):.1f},{frame.y(rate):.1f}" for x, rate in line)
        dashes = ' stroke-dasharray="6 3"' if number >= len(COLOURS) else ""
        parts += [f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>',
                  _line(WIDTH - RIGHT + 15, y, WIDTH - RIGHT + 40, y, colour),
                  _text(WIDTH - RIGHT + 48, y + 4, name, "start")]
    return "\n".join([*parts, "</svg>", ""])
