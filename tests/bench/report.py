"""What the measurements say: medians, spreads, ratios, and whether they are within their limits."""

import json
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Row:
    """One chain's samples over all rounds, and the row that it is compared with, round by round."""

    chain: object
    cores: set
    reference: "Row | None" = None
    limit: float | None = None
    samples: list = field(default_factory=list)

    def ratios(self):
        """CPU time per request over that of the reference, for each round."""
        if self.reference is None:
            return []
        return [ours.micros / theirs.micros for ours, theirs in zip(self.samples, self.reference.samples)]

    def within(self):
        """Whether the median ratio keeps the limit; `None` without one."""
        return None if self.limit is None else median(self.ratios()) <= self.limit


@dataclass
class Section:
    """Rows that are read together."""

    title: str
    rows: list


def markdown(sections):
    """The tables of a report."""
    lines = []
    for section in sections:
        lines += [f"### {section.title}", "",
                  "| chain | CPU per request | spread | of it | ratio | spread | limit | requests/s | cores used |",
                  "|---|--:|--:|---|--:|--:|--:|--:|--:|"]
        lines += [line(row) for row in section.rows] + [""]
    return "\n".join(lines)


def line(row):
    """One row of a table."""
    micros = [sample.micros for sample in row.samples]
    ratios = row.ratios()
    verdict = {None: "", True: f"≤ {row.limit}: kept", False: f"≤ {row.limit}: **exceeded**"}[row.within()]
    cells = [row.chain.name, f"{median(micros):.1f} µs", f"{min(micros):.1f} to {max(micros):.1f}", shares(row),
             f"{median(ratios):.2f}" if ratios else "1", f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "", verdict,
             f"{median(sample.rate for sample in row.samples):,.0f}",
             f"{median(sample.busy for sample in row.samples):.2f}"]
    return f"| {' | '.join(cells)} |"


def shares(row):
    """What each process of a chain contributes, in microseconds."""
    names = list(row.samples[0].cpu_seconds)
    if len(names) < 2:
        return ""
    each = [median(sample.cpu_seconds[name] / sample.requests * 1e6 for sample in row.samples) for name in names]
    return " + ".join(f"{share:.1f}" for share in each)


def as_json(sections):
    """Everything that was measured, for scripts."""
    rows = [{
        "section": section.title, "chain": row.chain.name, "cores": sorted(row.cores), "limit": row.limit,
        "ratio": median(row.ratios()) if row.ratios() else None, "within": row.within(),
        "micros": [sample.micros for sample in row.samples], "requests": [sample.requests for sample in row.samples],
    } for section in sections for row in section.rows]
    return json.dumps(rows)


def all_within(sections):
    """Whether every limit is kept."""
    return all(row.within() is not False for section in sections for row in section.rows)
