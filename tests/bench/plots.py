# SPDX-License-Identifier: Apache-2.0
"""Plots of cost against size, by gnuplot, from workloads that ran at several scales."""
import os
import shutil
import subprocess

from results import Spread

KIB, MIB = 1 << 10, 1 << 20


class Curve:
    """Figures of one workload at one size each; all sizes grow with the scale."""

    def __init__(self, name, title, x_label, y_label, points, invert=False):
        self.name, self.title, self.x_label, self.y_label = name, title, x_label, y_label
        self.points = points  # (figure, size at scale 100)
        self.invert = invert  # rates: what each costs in µs

    def cost(self, value):
        return 1e6 / value if self.invert else value

    def of(self, results, system):
        """(size, median, least, most), by size."""
        rows = {}
        for figure, size in self.points:
            for scale in results.scales(figure.partition(".")[0]):
                spread = Spread(map(self.cost, results.values(system, figure, scale).values()))
                if spread:
                    rows[size * scale / 100] = (spread.median, min(spread.values), max(spread.values))
        return [(size, *rows[size]) for size in sorted(rows)]


CURVES = [
    Curve("append", "Append of 1–4 KiB to a log", "length of the log, KiB", "µs",
          [("append.append_200KiB_log", 200), ("append.append_200MiB_log", 200 * 1024)]),
    Curve("list", "List of all sessions as the client makes it, cold", "sessions", "µs for each entry",
          [("list.few_sessions_cold", 500), ("list.many_sessions_cold", 10000)], invert=True),
    Curve("list-warm", "List of all sessions as the client makes it, warm", "sessions", "µs for each entry",
          [("list.few_sessions_warm", 500), ("list.many_sessions_warm", 10000)], invert=True),
    Curve("seq", "Sequential write", "size of the file, MiB", "µs for each MB",
          [("seq.write_synced", 1024)], invert=True),
    Curve("sqlite", "SQLite, WAL FULL, a row in each transaction", "transactions", "µs",
          [("sqlite.wal_full", 1000)]),
    Curve("handover", "Hand-over of a session between two hosts", "hand-overs one after another", "µs",
          [("handover.handover", 200)]),
]

SETTINGS = """set terminal svg size 800,480 font 'sans-serif,13' background '#ffffff'
set output '{path}'
set title '{title}'
set xlabel '{x_label}'
set ylabel '{y_label}'
set logscale xy
set format y '%g'
set format x '%g'
set grid
set key outside right
set bars small
"""


def draw(curve, results, directory):
    """Writes NAME.svg. Whether there was anything to draw: a size alone is no curve."""
    lines = {}
    for system in results.measured_systems():
        rows = curve.of(results, system)
        if len(rows) > 1:
            lines[system] = rows
    if not lines:
        return False
    script = SETTINGS.format(path=os.path.join(directory, curve.name + ".svg"), **vars(curve))
    script += "plot " + ", ".join(
        f"'-' using 1:2:3:4 with yerrorlines linewidth {2 if name.startswith('holdfast') else 1} title '{name}' noenhanced"
        for name in lines) + "\n"
    for rows in lines.values():
        script += "".join(" ".join(f"{value:.6g}" for value in row) + "\n" for row in rows) + "e\n"
    subprocess.run(["gnuplot"], input=script, text=True, check=True)
    return True


def draw_all(results, directory):
    """The curves that were drawn; None when there is no gnuplot."""
    if not shutil.which("gnuplot"):
        return None
    os.makedirs(directory, exist_ok=True)
    return [curve for curve in CURVES if draw(curve, results, directory)]
