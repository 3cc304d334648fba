"""The report of a run: a table, a plot as PNG, and both as one page that needs nothing else."""

import html
import math

# Facet in one strong colour, peers in quiet ones of their own.
FACET = {"Facet exhaustive": "#08306b", "Facet routed": "#2171b5", "Facet exhaustive, cosine >= .37": "#6baed6"}
PEERS = ("#8c6d31", "#636363", "#a55194", "#637939", "#b5651d", "#7b6888", "#3d7f79", "#9c4146", "#6b6b3a")
# What routed search is held against, and where.
RIVALS = ("FAISS IVF,SQ8", "FAISS IVF,RaBitQ,Refine(SQ8)", "usearch HNSW int8", "ScaNN tree, AH, reorder 200")
LEVELS = (0.90, 0.95, 0.98, 0.99)
HEAD = ("", "p50 ms", "p99 ms", "CPU ms", "mate rank-1", "first agrees", "of ten", "index B a face", "built s", "load")


def cells(row):
    name = " ".join(filter(None, (row["family"] + ("," if row["mode"] else ""), row["mode"])))
    if "failure" in row:
        return [name, row["failure"]] + [""] * (len(HEAD) - 2)

    def text(key, form):
        return form.format(row[key]) if row.get(key) is not None else ""

    return [
        name, text("p50", "{:.2f}"), text("p99", "{:.2f}"), text("cpu", "{:.2f}"), text("rank1", "{:.4f}"),
        text("first", "{:.3f}"), text("ten", "{:.4f}"), text("bytes", "{:.0f}"), text("built", "{:.0f}"),
        text("load", "{:.1f}"),
    ]


def line(row):
    return "| " + " | ".join(cells(row)) + " |"


def bars(rows):
    """The design's bars that the run's rows decide: lists of what, bar, here, reached."""
    done = [row for row in rows if "p50" in row]
    found = []

    def one(family, mode=""):
        return next((row for row in done if row["family"] == family and row["mode"].startswith(mode)), None)

    def faster(what, mine, theirs, times):
        if mine and theirs:
            ratio = theirs["p50"] / mine["p50"]
            agreement = f", ten agree {theirs.get('ten', 1):.3f}" if theirs["family"] != "FAISS Flat" else ""
            found.append((what, f">= {times:g}x", f"{ratio:.2f}x{agreement}", ratio >= times))

    for mine, name in ((one("Facet exhaustive"), "top 10"), (one("Facet exhaustive, cosine >= .37"), "cosine >= .37")):
        faster(f"exhaustive, {name}, against FAISS Flat", mine, one("FAISS Flat"), 15)
        faster(f"exhaustive, {name}, against FAISS RaBitQ, every list", mine, one(RIVALS[1], "every"), 2.5)
        faster(f"exhaustive, {name}, against ScaNN, every leaf", mine, one(RIVALS[3], "every"), 3)

    def fastest(families, level):
        reaching = [row for row in done if row["family"] in families and row["rank1"] >= level]
        return min(reaching, key=lambda row: row["p50"], default=None)

    for level in LEVELS:
        mine, theirs = fastest(("Facet routed",), level), fastest(RIVALS, level)
        what = f"routed, mate rank-1 {level:.2f}"
        if mine and theirs:
            ratio = theirs["p50"] / mine["p50"]
            here = f"{ratio:.2f}x: {mine['p50']:.2f} ms against {theirs['p50']:.2f} ({theirs['family']})"
            found.append((what, ">= 1.5x", here, ratio >= 1.5))
        elif mine or theirs:
            here = "no peer of these finds so many" if mine else "routed search does not find so many"
            found.append((what, ">= 1.5x", here, mine is not None))
    return found


def verdicts(rows):
    """The table of bars, in lines."""
    head = ["| what | bar | here | |", "|---|---|---|---|"]
    return head + [f"| {a} | {b} | {c} | {'reached' if d else '**not reached**'} |" for a, b, c, d in bars(rows)]


def families(rows):
    """Points by family, in order of appearance: those that were measured."""
    found = {}
    for row in rows:
        if "p50" in row:
            found.setdefault(row["family"], []).append(row)
    return found


def colour(family, position):
    return FACET.get(family, PEERS[position % len(PEERS)])


def write(folder, name, title, machine, text, rows):
    folder.mkdir(parents=True, exist_ok=True)
    decided = bars(rows)
    lines = [f"# Peers: {title}", "", f"{machine}. One query at a time, one thread.", ""]
    lines += ["```", text.strip(), "```", ""]
    lines += ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)] + [line(row) for row in rows]
    lines += [""] + verdicts(rows)
    (folder / f"{name}.md").write_text("\n".join(lines) + "\n")
    groups = families(rows)
    if groups:
        draw_png(folder / f"{name}.png", title, machine, groups)
        (folder / f"{name}.html").write_text(page(title, machine, groups, rows, decided))


class Frame:
    """Where a point of the plot stands: a logarithm of milliseconds across, mate rank-1 up."""

    width, height, left, right, top, bottom = 1040, 600, 64, 40, 34, 56

    def __init__(self, groups):
        points = [row for rows in groups.values() for row in rows]
        times = [row["p50"] for row in points]
        self.low, self.high = math.log10(min(times)) - 0.1, math.log10(max(times)) + 0.1
        least = min(row["rank1"] for row in points)
        self.floor = max(0.0, math.floor(least * 20 - 0.2) / 20)
        self.ceiling = 1 + (1 - self.floor) * 0.04

    def x(self, milliseconds):
        inner = self.width - self.left - self.right
        return self.left + inner * (math.log10(milliseconds) - self.low) / (self.high - self.low)

    def y(self, share):
        inner = self.height - self.top - self.bottom
        return self.top + inner * (self.ceiling - share) / (self.ceiling - self.floor)

    def ticks(self):
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        across = [m * 10.0**d for d in decades for m in (1, 2, 5) if self.low <= math.log10(m * 10.0**d) <= self.high]
        step = 0.05 if 1 - self.floor <= 0.4 else 0.1
        up = [round(1 - step * i, 2) for i in range(int((1 - self.floor) / step) + 1)]
        return across, up

    def labels(self, groups):
        """Name, colour and place of each family's label: beside one of its points, where it covers least."""
        lines = {family: list(self.path(rows)) for family, rows in groups.items()}
        placed, found = [], []
        for position, (family, rows) in enumerate(groups.items()):
            wide = 6.9 * len(family)
            places = []
            for row in rows:
                x, y = self.x(row["p50"]), self.y(row["rank1"])
                for down in (4, 17, -11, 31, -25, 45, -39):
                    for across in (9, -wide - 9, -wide / 2):
                        if down == 4 and across == -wide / 2:
                            continue
                        box = (x + across, y + down - 11, x + across + wide, y + down + 4)
                        places.append((self.cost(box, placed, lines, family) + abs(down) / 8, box))
            _, box = min(places)
            placed.append(box)
            found.append((family, colour(family, position), box[0], box[3] - 4))
        return found

    def path(self, rows):
        """Places along a family's line, a few units apart."""
        points = sorted((self.x(row["p50"]), self.y(row["rank1"])) for row in rows)
        yield points[0]
        for (x, y), (to_x, to_y) in zip(points, points[1:]):
            steps = max(1, int(math.hypot(to_x - x, to_y - y) / 6))
            for step in range(1, steps + 1):
                yield x + (to_x - x) * step / steps, y + (to_y - y) * step / steps

    def cost(self, box, placed, lines, family):
        left, top, right, bottom = box
        outside = left < self.left or right > self.width - 4 or top < self.top - 8 or bottom > self.height - self.bottom
        over = sum(left < r + 4 and l < right + 4 and top < b and t < bottom for l, t, r, b in placed)
        crossed = sum(
            (1 if other == family else 2)
            * sum(left - 3 < x < right + 3 and top - 2 < y < bottom + 2 for x, y in line_)
            for other, line_ in lines.items()
        )
        return 1_000 * outside + 40 * over + crossed


def draw_png(path, title, machine, groups):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plot

    frame = Frame(groups)
    figure = plot.figure(figsize=(frame.width / 100, frame.height / 100), dpi=200)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, frame.width), ylim=(frame.height, 0))
    axes.axis("off")
    across, up = frame.ticks()
    edge = frame.width - frame.right
    for value in across:
        axes.plot([frame.x(value)] * 2, [frame.top, frame.height - frame.bottom], color="#ececec", lw=0.6)
        axes.text(frame.x(value), frame.height - frame.bottom + 16, f"{value:g}", ha="center", fontsize=8, color="#555")
    for value in up:
        axes.plot([frame.left, edge], [frame.y(value)] * 2, color="#ececec", lw=0.6)
        axes.text(frame.left - 8, frame.y(value) + 4, f"{value:.2f}", ha="right", fontsize=8, color="#555")
    axes.text((frame.left + edge) / 2, frame.height - 14, "p50 of a query, ms, one thread", ha="center", fontsize=9)
    axes.text(frame.left, 16, f"Mate rank-1 against time: {title}. {machine}", fontsize=9)
    for family, tint, x, y in frame.labels(groups):
        rows = sorted(groups[family], key=lambda row: row["p50"])
        strong = family.startswith("Facet")
        axes.plot(
            [frame.x(row["p50"]) for row in rows], [frame.y(row["rank1"]) for row in rows], color=tint,
            lw=1.8 if strong else 1, marker="o", ms=5 if strong else 3.4, zorder=3 if strong else 2,
        )
        axes.text(x, y, family, color=tint, fontsize=8.5, weight="bold" if strong else "normal", zorder=4)
    figure.savefig(path)
    plot.close(figure)


def picture(groups):
    frame = Frame(groups)
    across, up = frame.ticks()
    edge, base = frame.width - frame.right, frame.height - frame.bottom
    parts = [
        f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="Mate rank-1 against time of a query">'
    ]
    for value in across:
        x = frame.x(value)
        parts.append(f'<path class="grid" d="M{x:.1f} {frame.top}V{base}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{base + 18}" text-anchor="middle">{value:g}</text>')
    for value in up:
        y = frame.y(value)
        parts.append(f'<path class="grid" d="M{frame.left} {y:.1f}H{edge}"/>')
        parts.append(f'<text class="tick" x="{frame.left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    middle = (frame.left + edge) / 2
    below = f'x="{middle}" y="{frame.height - 14}" text-anchor="middle"'
    parts.append(f"<text {below}>p50 of a query, ms, one thread</text>")
    parts.append(f'<text x="{frame.left}" y="18">mate rank-1</text>')
    for family, tint, left, at in frame.labels(groups):
        rows = sorted(groups[family], key=lambda row: row["p50"])
        strong = family.startswith("Facet")
        points = " ".join(f"{frame.x(row['p50']):.1f},{frame.y(row['rank1']):.1f}" for row in rows)
        parts.append(f'<g stroke="{tint}" fill="{tint}">')
        parts.append(f'<polyline fill="none" stroke-width="{2 if strong else 1.2}" points="{points}"/>')
        for row in rows:
            told = f"{family} {row['mode']}: {row['p50']:.2f} ms (p99 {row['p99']:.2f})"
            told += f", mate rank-1 {row['rank1']:.4f}"
            if row.get("ten") is not None:
                told += f", of ten {row['ten']:.4f}"
            parts.append(
                f'<circle cx="{frame.x(row["p50"]):.1f}" cy="{frame.y(row["rank1"]):.1f}"'
                f' r="{5 if strong else 3.5}"><title>{html.escape(told)}</title></circle>'
            )
        weight = ' font-weight="600"' if strong else ""
        parts.append(f'<text stroke="none" x="{left:.1f}" y="{at:.1f}"{weight}>{html.escape(family)}</text></g>')
    return "\n".join(parts + ["</svg>"])


STYLE = """
body{font:14px/1.45 system-ui,sans-serif;color:#222;background:#fff;max-width:1100px;margin:2rem auto}
h1{font-size:1.25rem;font-weight:600}svg{width:100%;height:auto}
svg text{font:12px system-ui,sans-serif;fill:currentColor}
.grid{stroke:#ececec}.tick{fill:#666}g text{fill:inherit}circle:hover{stroke:#000;stroke-width:1.5}
table{border-collapse:collapse;width:100%;font-size:12.5px;margin:1.5rem 0}td,th{padding:.2rem .5rem;text-align:right}
td:first-child,th:first-child{text-align:left}tr+tr{border-top:1px solid #eee}.no{color:#9c4146}
"""


def page(title, machine, groups, rows, decided):
    def table(head, body):
        def row(values, kind):
            return "<tr>" + "".join(f"<{kind}>{html.escape(str(value))}</{kind}>" for value in values) + "</tr>"

        return "<table>" + row(head, "th") + "".join(row(values, "td") for values in body) + "</table>"

    told = [(a, b, c, "reached" if d else "not reached") for a, b, c, d in decided]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>Mate rank-1 against time of a query</h1><p>{html.escape(title)}. "
        f"{html.escape(machine)}. One query at a time, one thread; point at a mark for its figures.</p>"
        + picture(groups) + table(HEAD, [cells(row) for row in rows])
        + table(("what", "bar", "here", ""), told) + "</html>\n"
    )
