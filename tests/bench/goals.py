# SPDX-License-Identifier: Apache-2.0
"""The goals of goals.txt, and whether results meet them."""
import os


class Goal:
    def __init__(self, fields):
        self.key, self.what, self.system, self.figure, self.test, bound, against = fields
        self.bound = float(bound)
        self.against = [name for name in against.split(",") if name]

    def text(self):
        if self.test == "least":
            return f"at least {self.bound:g}"
        if self.test == "most":
            return f"at most {self.bound:g}"
        if len(self.against) == 1:
            return f"at least {self.bound:g} × {self.against[0]}"
        return f"at least {self.bound:g} × the best of " + ", ".join(self.against)

    def measured(self, results):
        """The spread of what is compared with the bound."""
        if self.test == "faster":
            return results.times_as_fast(self.system, self.figure, self.against)
        return results.spread(self.system, self.figure)

    def is_met(self, spread):
        return spread.median <= self.bound if self.test == "most" else spread.median >= self.bound

    def best_other(self, results):
        """The system that it was measured against, or the best of them by its median."""
        spreads = {name: results.spread(name, self.figure) for name in self.against}
        spreads = {name: spread for name, spread in spreads.items() if spread}
        if not spreads:
            return None
        pick = min if results.is_cost(self.figure) else max
        return pick(spreads, key=lambda name: spreads[name].median)


def load(path=None):
    path = path or os.path.join(os.path.dirname(os.path.realpath(__file__)), "goals.txt")
    goals = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                goals.append(Goal([field.strip() for field in line.split("|")]))
    return goals


def load_notes(path):
    """By key: the paragraphs below "## KEY", or below "## KEY, KEY"."""
    notes, keys = {}, []
    if not os.path.exists(path):
        return notes
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("## "):
                keys = [key.strip() for key in line[3:].split(",")]
                for key in keys:
                    notes[key] = ""
            elif keys:
                notes[keys[0]] += line
    return {key: text.strip() for key, text in notes.items()}
