# SPDX-License-Identifier: Apache-2.0
"""What tools/bench makes of its samples: windows, ratios, stalls, a plot that is XML."""
import sys
import types
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))

import backlog  # noqa: E402
import plot  # noqa: E402
import watch  # noqa: E402
from series import Sample, Series, percentile  # noqa: E402


def series_of(rates, width=2.0):
    """One that holds each rate for a window of four samples."""
    series, at, done = Series(), 0.0, 0
    series.add(Sample(at, done, 50, 0))
    for rate in rates:
        for _ in range(4):
            at, done = at + width / 4, done + int(rate * width / 4)
            series.add(Sample(at, done, 50 + at, at / 2))
    return series


def test_the_first_and_the_last_window_do_not_count():
    assert series_of([10, 1000, 800, 600, 20]).rates() == [1000, 800, 600]
    assert series_of([10, 1000, 800, 600, 20]).median() == 800
    assert series_of([10, 1000, 800, 600, 20]).slowest_of_median() == 0.75


def test_a_run_that_is_too_short_for_windows_has_shorter_ones_and_says_so():
    assert series_of([100, 300]).is_short() and not series_of([100, 300, 100]).is_short()
    assert series_of([100, 300]).rates() == [100, 300]
    assert series_of([100]).rates() == [100, 100]


def test_a_run_of_a_moment_answers_its_rate_as_a_whole():
    series = Series()
    series.add(Sample(0, 0, 50, 0))
    series.add(Sample(0.5, 100, 50, 0))
    assert series.is_short() and series.rates() == [200]


def test_rates_until_the_others_are_done_leave_out_what_comes_behind():
    series = series_of([1000, 1000, 1000, 1000, 0, 0, 0, 10])
    assert series.rates(until=8000) == [1000, 1000] and 0 in series.rates()


def test_a_stall_is_counted_from_the_last_progress():
    series = series_of([1000, 0, 0])
    assert series.seconds_without_progress() == 4
    assert series_of([1000]).seconds_without_progress() == 0


def test_memory_is_compared_by_quarters():
    series = Series()
    for at, resident in enumerate([10, 10, 100, 100, 150, 150, 200, 200]):
        series.add(Sample(at, at, resident, 0))
    assert series.most_resident() == 200 and series.resident_growth() == 2


def test_percentiles_are_values_that_occurred():
    assert percentile([3, 1, 2], 0.5) == 2 and percentile([1, 2], 0.99) == 2


def test_metrics_are_added_over_the_lines_with_all_labels():
    text = ('# HELP a_total x\na_total{pipeline="p",state="succeeded"} 5\na_total{pipeline="p",state="filtered"} 2\n'
            'a_total{pipeline="q",state="filtered"} 9\na_total_more 1\n')
    assert watch.labelled(text, "a_total", pipeline="p") == 7
    assert watch.labelled(text, "a_total", pipeline="q", state="filtered") == 9
    assert watch.labelled(text, "b_total") is None


class Stuck:
    """A server whose counter stands still after so many."""

    process = types.SimpleNamespace(pid="self")

    def __init__(self, done):
        self.left = list(done)

    def call(self, *_, **__):
        done = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return types.SimpleNamespace(body=f'{watch.FINISHED}{{pipeline="p"}} {done}\n'.encode())


@pytest.mark.parametrize("done, enough, ended", [([0, 5, 10], 10, None), ([0, 5], 10, "no progress for 0.05 s at 5 of 10")])
def test_a_run_without_progress_is_ended_and_told(done, enough, ended):
    assert watch.follow(Stuck(done), "p", enough, watch.Patience(0.01, 0.05, 5)).ended == ended


def test_ratios_are_of_runs_of_the_same_round():
    def run(rate):
        return types.SimpleNamespace(median=rate)
    runs = {"none": [run(100), run(10)], "100": [run(50), run(9)]}
    assert backlog.beside(runs, backlog.SCENARIOS["100"]) == pytest.approx(0.7)
    assert backlog.beside(runs, backlog.SCENARIOS["none"]) is None


def test_what_a_scenario_is_compared_with_runs_too():
    assert backlog.chosen_scenarios(["slow"]) == ["fewer", "slow"]
    assert backlog.chosen_scenarios(["latency"]) == []
    assert backlog.chosen_scenarios(None) == list(backlog.SCENARIOS)


def test_the_plot_is_xml_with_a_line_a_run():
    root = xml.fromstring(plot.svg("a < b", {"none": [(2, 100), (4, 90_000)], "100 & more": [(2, 0)], "empty": []}))
    lines = [e for e in root if e.tag.endswith("polyline")]
    words = [e.text for e in root if e.tag.endswith("text")]
    assert len(lines) == 3 and "100 & more" in words and "a < b" in words
    places = [tuple(map(float, place.split(","))) for place in lines[0].get("points").split()]
    assert places[0][0] < places[1][0] and places[0][1] > places[1][1]  # later is right, more is up


@pytest.mark.parametrize("most, step", [(1, 0.2), (9, 2), (95_000, 20_000), (260, 100), (0.3, 0.1)])
def test_axes_have_round_steps(most, step):
    assert plot.round_step(most) == pytest.approx(step)
