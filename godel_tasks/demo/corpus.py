"""Real text that every machine has: documentation, cut into paragraphs.

In this order: the pages of this repository (when Godel runs from a checkout), the documentation in
the installed packages (their pages, and the long descriptions in their metadata), the docstrings
of the standard library, those of the installed packages. The same machine gives the same
paragraphs in the same order.
"""

from __future__ import annotations

import inspect
import re
import sysconfig
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

#: A shorter paragraph has too little in it to be worth a summary.
MIN_WORDS = 60
#: A longer one is cut: it is a licence or a table more often than prose.
MAX_WORDS = 220
#: Share of words that are plain words; code and tables have fewer.
MIN_PROSE = 0.75
#: Larger files are data.
MAX_FILE_BYTES = 400_000

_PAGES = {".md", ".rst", ".txt"}
_DULL = re.compile(r"(?i)licen[cs]e|copying|notice|authors|record|top_level|entry_points|sources")
_WORD = re.compile(r"^[(\"']*[A-Za-z][A-Za-z'\u2019-]*[)\"'.,;:!?]*$")
_BLANK = re.compile(r"\n\s*\n")
# After the start of a file or the colon of a `def` or `class`. Parsing every module instead would
# take ten seconds, and this needs no more than text.
_DOCSTRING = re.compile(r'(?:\A|:[^\n]*\n)\s*[rR]?"""(?P<text>.*?)"""', re.DOTALL)
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def paragraphs(limit: int) -> Iterator[str]:
    """Up to `limit` different paragraphs of `MIN_WORDS` to `MAX_WORDS` words, one line each."""
    return islice(_distinct(chain.from_iterable(map(cut, _texts()))), limit)


def cut(text: str) -> Iterator[str]:
    """The paragraphs of a page: what stands between blank lines and reads like prose. Short ones
    are joined to the next until there are `MIN_WORDS`."""
    words: list[str] = []
    for block in _BLANK.split(_FENCED.sub("\n\n", text)):
        more = block.split()
        prose = sum(1 for word in more if _WORD.match(word))
        if not more or prose < MIN_PROSE * len(more):
            continue
        words += more
        if len(words) >= MIN_WORDS:
            yield " ".join(words[:MAX_WORDS])
            words = []


def _distinct(texts: Iterable[str]) -> Iterator[str]:
    seen: set[int] = set()
    for text in texts:
        if (key := hash(text)) not in seen:
            seen.add(key)
            yield text


def _texts() -> Iterator[str]:
    paths = sysconfig.get_paths()
    packages, library = Path(paths["purelib"]), Path(paths["stdlib"])
    yield from _pages(_checkout())
    yield from _pages(_package_pages(packages))
    yield from _docstrings(_modules(library))
    yield from _docstrings(_modules(packages))


def _checkout() -> list[Path]:
    """The pages of the repository that this module stands in; none when it is installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "pyproject.toml").is_file():
        return []
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md")])


def _package_pages(packages: Path) -> list[Path]:
    metadata = packages.glob("*.dist-info/METADATA")
    pages = (path for path in packages.rglob("*") if path.suffix.lower() in _PAGES)
    return sorted([*metadata, *(path for path in pages if not _DULL.search(path.name))])


def _modules(folder: Path) -> Iterator[Path]:
    """Its Python files, sorted, without the packages that are installed inside of it."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".py":
            yield path
        elif path.is_dir() and path.name not in {"site-packages", "test", "__pycache__"}:
            yield from _modules(path)


def _pages(files: Iterable[Path]) -> Iterator[str]:
    for path in files:
        if text := _read(path):
            # A METADATA file is a header, a blank line, and the project's README.
            yield text.partition("\n\n")[2] if path.name == "METADATA" else text


def _docstrings(files: Iterable[Path]) -> Iterator[str]:
    for path in files:
        for match in _DOCSTRING.finditer(_read(path)):
            yield inspect.cleandoc(match["text"])


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return ""
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
