"""A benchmark's result as text for people."""

from collections.abc import Sequence

from lotor.benchmark.metrics import METRICS, Interval
from lotor.benchmark.run import MAIN, Run, Variant
from lotor.evaluate import confusion_lines

NOT_FROZEN = "NOT the frozen benchmark: other data or another split"


def as_text(run: Run) -> str:
    """Return figures by variant and subset, the baselines, and what became worse."""
    opened, target = run.opened, run.labels[run.target]
    lines = [
        f"{run.model.name} {run.model_sha256[:12]} on split {opened.split} of "
        f"{opened.data.folder}: {len(opened.photos)} photographs, {int(run.positive.sum())} of "
        f"them {target}"
    ]
    lines += [] if opened.frozen else [NOT_FROZEN]
    for variant in run.variants.values():
        lines += ["", *_variant_lines(run, variant)]
    table = run.variants[MAIN].as_dict()["confusion"]
    lines += ["", f"labels said ({MAIN}):", *confusion_lines(table, run.labels)]
    lines += ["", *_baseline_lines(run), *_previous_lines(run)]
    if run.kept:
        lines.append(f"results: {run.kept}")
    return "\n".join(lines)


def _variant_lines(run: Run, variant: Variant) -> list[str]:
    heads = ["subset", "photos", run.labels[run.target], *(m.title for m in METRICS.values())]
    rows = []
    for part in run.subsets:
        member = part.member[variant.rows]
        positives = int((member & run.positive[variant.rows]).sum())
        row = [part.name, str(int(member.sum())), str(positives)]
        if part.name in variant.parts:
            figures = variant.parts[part.name]
            row += [
                interval(figures.interval(name)) if name in figures.values else "-"
                for name in METRICS
            ]
        else:
            row.append(run.why_not(variant, part.name))
        rows.append(row)
    title = f"{variant.where}:"
    if variant.runs:
        title += f" {variant.mismatches} of {variant.runs} outputs differ from this machine's"
    return [title, *_table(heads, rows)]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned columns; a row that is shorter ends in free text."""
    full = [row for row in rows if len(row) == len(heads)]
    widths = [
        max(len(head), *(len(row[i]) for row in full)) if full else len(head)
        for i, head in enumerate(heads)
    ]
    widths[0] = max([len(heads[0]), *(len(row[0]) for row in rows)])
    return [
        "  " + "  ".join(cell.ljust(widths[i]) for i, cell in enumerate(row)).rstrip()
        for row in (heads, *rows)
    ]


def interval(found: Interval) -> str:
    """Return `0.711 [0.551, 0.836]`."""
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def change(found: Interval) -> str:
    """Return `+0.120 [+0.050, +0.210]`."""
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _baseline_lines(run: Run) -> list[str]:
    lines = []
    for name, table in run.against.items():
        if "all" not in table:
            lines.append(f"baseline {name}: {run.lacking['all']}")
            continue
        one = table["all"]
        word = "NOT beaten" if name in run.unbeaten else "beaten"
        lines.append(
            f"baseline {name}: average precision {one.before:.3f}, {word}: {change(one.change)}"
        )
    return lines


def _previous_lines(run: Run) -> list[str]:
    if run.previous is None:
        return ["no previous version has results on these photographs"]
    lines = [f"previous version {run.previous.name}:"]
    if run.gain:
        lines.append(
            f"  {run.word}: the version before, {run.gain.before:.3f}, now {run.gain.now:.3f}"
        )
    for variant, parts in run.changes.items():
        for part, table in parts.items():
            one = table["average_precision"]
            lines.append(
                f"  {variant}, {part}: average precision {change(one.change)}, {one.verdict}"
            )
    lines += [f"WORSE {one}" for one in run.regressions]
    return lines if run.changes else [*lines, "  it has no variant in common with this run"]
