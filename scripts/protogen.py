"""Generate the Python code of the .proto files: `python scripts/protogen.py`.

`--check` writes nothing and ends with 1 when the committed code is not what the .proto files give.
Only messages are generated; the few service methods are named by hand in `grpc_wire.py`, where the
type checker sees them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"

#: A .proto file and the package folder that its code goes to.
TARGETS = {
    "godel/federation/v1/instance.proto": "godel_tasks/instances/drivers/_generated",
}


def generate(proto: str) -> dict[str, str]:
    """Text of the generated files by file name."""
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"-I{PROTO}", f"--python_out={folder}", f"--pyi_out={folder}", proto]
        if protoc.main(["protoc", *flags]) != 0:
            raise SystemExit(f"protoc refused {proto}")
        made = (Path(folder) / proto).parent
        return {path.name: path.read_text() for path in sorted(made.iterdir())}


def stale_files(root: Path = ROOT) -> list[Path]:
    """Committed files that differ from what the .proto files give."""
    return [
        root / folder / name
        for proto, folder in TARGETS.items()
        for name, text in generate(proto).items()
        if not (root / folder / name).exists() or (root / folder / name).read_text() != text
    ]


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        stale = stale_files()
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run python scripts/protogen.py")
        return 1 if stale else 0
    for proto, folder in TARGETS.items():
        target = ROOT / folder
        target.mkdir(parents=True, exist_ok=True)
        for name, text in generate(proto).items():
            (target / name).write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
