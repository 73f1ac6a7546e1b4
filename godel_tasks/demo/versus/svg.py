"""The few elements of SVG that the picture needs, as text."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

#: Light and dark by what the reader's system prefers; a background of its own either way.
STYLE = """
    .bg { fill: #ffffff; stroke: #d0d7de }
    .h { fill: #1f2328; font-weight: 700 }
    .t { fill: #1f2328 }
    .m { fill: #57606a }
    .grid { stroke: #d8dee4; stroke-width: 1 }
    .axis { stroke: #57606a; stroke-width: 1.5 }
    .celery { fill: #bc4c00; stroke: #bc4c00 }
    .godel { fill: #0969da; stroke: #0969da }
    .celery.name, .godel.name { stroke: none; font-weight: 700 }
    .stem { stroke-opacity: .55 }
    .open { fill: #ffffff; stroke-width: 2 }
    .kill { stroke: #cf222e; stroke-width: 2; stroke-dasharray: 6 4 }
    .killed { fill: #cf222e; font-weight: 600 }
    @media (prefers-color-scheme: dark) {
      .bg { fill: #0d1117; stroke: #30363d }
      .h, .t { fill: #e6edf3 }
      .m { fill: #9da7b3 }
      .grid { stroke: #262c36 }
      .axis { stroke: #8b949e }
      .celery { fill: #f0883e; stroke: #f0883e }
      .godel { fill: #58a6ff; stroke: #58a6ff }
      .open { fill: #0d1117 }
      .kill { stroke: #ff7b72 }
      .killed { fill: #ff7b72 }
    }
"""
FONTS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


def document(width: int, height: int, title: str, about: str, body: Iterable[str]) -> str:
    """The whole file."""
    facts = f'role="img" aria-labelledby="t d" font-family={quoteattr(FONTS)}'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {facts}>',
            f'  <title id="t">{escape(title)}</title>',
            f'  <desc id="d">{escape(about)}</desc>',
            f"  <style>{STYLE}  </style>",
            f'  <rect class="bg" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="12"/>',
            *(f"  {line}" for line in body),
            "</svg>",
            "",
        ]
    )


def text(x: float, y: float, size: float, words: str, look: str = "t", anchor: str = "") -> str:
    """A line of text; `anchor` is "middle", "end" or "" for its start."""
    where = f'x="{x:g}" y="{y:g}"' + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text class="{look}" {where} font-size="{size:g}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, look: str) -> str:
    return f'<line class="{look}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def dot(x: float, y: float, radius: float, look: str) -> str:
    return f'<circle class="{look}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def arrow_up(x: float, y: float, size: float, look: str) -> str:
    """A triangle whose tip is at (x, y)."""
    path = f"M{x:.1f} {y:.1f}l{size:g} {1.6 * size:g}h{-2 * size:g}z"
    return f'<path class="{look}" d="{path}"/>'
