"""Bars as SVG, without a library: readable on light and on dark pages."""
from html import escape

WIDTH, LABEL, BAR, GAP, HEAD = 640, 110, 18, 6, 30

STYLE = """<style>
text { font: 13px sans-serif; fill: #222 } .title { font-weight: bold } .bar { fill: #8aa4c8 } .rnc { fill: #d9722e } .min { stroke: #222; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .min { stroke: #eee } .bar { fill: #5b7397 } }
</style>"""


def svg(title: str, panels: list[tuple[str, dict[str, tuple[float, float]]]]) -> str:
    """A panel of horizontal bars for each case: medians, with a mark at the minimum. `panels` holds titles and, by name, median and minimum."""
    parts, y = [f'<text class="title" x="0" y="16">{escape(title)} (bar: median, mark: minimum)</text>'], HEAD
    for name, bars in panels:
        parts.append(f'<text x="0" y="{y + 14}">{escape(name)}</text>')
        y += HEAD - 6
        scale = (WIDTH - LABEL - 60) / max(median for median, _ in bars.values())
        for label, (median, minimum) in sorted(bars.items(), key=lambda bar: bar[1]):
            parts.append(bar(label, y, (median * scale, minimum * scale), f"{median:.1f}"))
            y += BAR + GAP
        y += 10
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">\n{STYLE}\n{body}\n</svg>\n'


def bar(label: str, y: float, lengths: tuple[float, float], value: str) -> str:
    """One bar with its name before and its value behind it."""
    median, minimum = lengths
    kind = "rnc" if label == "rnc" else "bar"
    mark = LABEL + minimum
    return (
        f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(label)}</text>'
        f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{median:.1f}" height="{BAR}"/>'
        f'<line class="min" x1="{mark:.1f}" x2="{mark:.1f}" y1="{y}" y2="{y + BAR}"/>'
        f'<text x="{LABEL + median + 6:.1f}" y="{y + 13}">{value}</text>'
    )
