"""The picture as a PNG, for where SVG is not shown."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

#: Draws SVG as GNOME does.
PROGRAM = "rsvg-convert"
#: Pixels; a little more than a README is wide.
WIDTH = 1000

HINT = (
    f"no PNG: {PROGRAM} is not on the PATH (Debian: apt-get install librsvg2-bin; "
    "macOS: brew install librsvg); the SVG is complete"
)


def draw_png(svg: Path) -> tuple[Path | None, str]:
    """Draw it beside the SVG. The PNG and "", or None and why there is none."""
    program = shutil.which(PROGRAM)
    if program is None:
        return None, HINT
    png = svg.with_suffix(".png")
    done = subprocess.run(
        [program, "--width", str(WIDTH), "--output", str(png), str(svg)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return None, f"no PNG: {PROGRAM} ended with {done.returncode}: {done.stderr.strip()}"
    return png, ""
