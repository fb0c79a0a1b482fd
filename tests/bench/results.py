# SPDX-License-Identifier: Apache-2.0
"""What tests/bench/compare measured: figures by system and round, and ratios of two of them in one round."""
import json
import statistics

# Of these, less is better.
COSTS = {"us", "bytes", "ratio", "MiB"}


class Spread:
    """The median of some rounds, and how far they lie apart."""

    def __init__(self, values):
        self.values = list(values)

    def __bool__(self):
        return bool(self.values)

    @property
    def median(self):
        return statistics.median(self.values)

    def text(self, unit=""):
        return f"{number(self.median)}{unit} ({number(min(self.values))}–{number(max(self.values))})"


def number(value):
    """Three digits that count, without an exponent."""
    if value == 0:
        return "0"
    digits = 0
    while digits < 4 and abs(value) * 10**digits < 100:
        digits += 1
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Results:
    """One or more files of results. What a later one measured of a system at a workload counts instead. Two systems
    are compared only in rounds of one measurement, so each run keeps the file that it came from as its source."""

    def __init__(self, paths):
        self.about = []
        self.systems = {}
        self.runs = []
        for path in paths:
            with open(path, encoding="utf-8") as file:
                self._add(json.load(file))

    def write(self, path):
        """As one file, in which each run is a line. Of several files only the last tells where it was measured."""
        with open(path, "w", encoding="utf-8") as file:
            head = {**self.about[-1], "systems": self.systems}
            file.write(json.dumps(head, indent=1)[:-2] + ',\n "runs": [\n')
            file.write(",\n".join(json.dumps(run) for run in self.runs) + "\n ]\n}\n")

    def _add(self, data):
        source = f"{data['date']} {len(self.about)}"
        for run in data["runs"]:
            run.setdefault("source", source)
        measured = {(run["system"], run["workload"], run["scale"]) for run in data["runs"]}
        self.runs = [
            run for run in self.runs if (run["system"], run["workload"], run["scale"]) not in measured
        ] + data["runs"]
        self.systems.update(data["systems"])
        self.about.append({key: value for key, value in data.items() if key not in ("runs", "systems")})

    @property
    def scale(self):
        """The scale of most runs: the others are for curves."""
        return self.about[-1]["scale"]

    def workloads(self):
        return list(dict.fromkeys(run["workload"] for run in self.runs))

    def figures(self, workload):
        """The names of its figures that any system has."""
        names = {}
        for run in self.runs:
            if run["workload"] == workload:
                for name, figure in (run["figures"] or {}).items():
                    if "unit" in figure:
                        names[name] = figure["unit"]
        return names

    def values(self, system, figure, scale=None):
        """By round, of "WORKLOAD.FIGURE" or "WORKLOAD.FIGURE@p99": the median of samples, or the value."""
        figure, _, field = figure.partition("@")
        workload, _, name = figure.partition(".")
        scale = self.scale if scale is None else scale
        found = {}
        for run in self.runs:
            if (run["system"], run["workload"], run["scale"]) != (system, workload, scale):
                continue
            entry = (run["figures"] or {}).get(name, {})
            value = entry.get("value", entry.get(f"{field or 'p50'}_us"))
            if value is not None:
                found[run["source"], run["round"]] = value
        return found

    def measured_systems(self):
        return [name for name, about in self.systems.items() if "left_out" not in about]

    def scales(self, workload):
        return sorted({run["scale"] for run in self.runs if run["workload"] == workload})

    def is_cost(self, figure):
        return self.unit(figure) in COSTS

    def unit(self, figure):
        workload, _, name = figure.partition("@")[0].partition(".")
        return self.figures(workload).get(name, "us")

    def spread(self, system, figure, scale=None):
        return Spread(self.values(system, figure, scale).values())

    def times_as_fast(self, system, figure, against, against_figure=None):
        """By how much a system is better than the best of others (or than itself at another figure), by round."""
        own = self.values(system, figure)
        cost = self.is_cost(figure)
        ratios = []
        for turn, value in own.items():
            others = [self.values(other, against_figure or figure).get(turn) for other in against]
            others = [other for other in others if other]
            if not others or not value:
                continue
            ratios.append(min(others) / value if cost else value / max(others))
        return Spread(ratios)

    def failure(self, system, workload):
        """Why a system has no figures of a workload."""
        for run in self.runs:
            if (run["system"], run["workload"]) == (system, workload) and run.get("status"):
                return run["said"] or f"exit status {run['status']}"
        return None
