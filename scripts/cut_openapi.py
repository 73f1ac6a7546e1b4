"""Cut the descriptions that the stubs of tests/providers hold requests to.

    python scripts/cut_openapi.py docker moby/api/swagger.yaml
    python scripts/cut_openapi.py kubernetes kubernetes/api/openapi-spec/swagger.json

Keeps the paths that the providers use, what these refer to, and everything that a check reads;
leaves out words (descriptions, examples) and what no request can reach. Needs PyYAML, which the
extra `kubernetes` brings.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

TARGET = Path(__file__).resolve().parents[1] / "tests/providers/stubs/descriptions"

_POD = "/api/v1/namespaces/{namespace}/pods"
_APPS = "/apis/apps/v1/namespaces/{namespace}"
#: Path -> methods.
KEPT: dict[str, dict[str, tuple[str, ...]]] = {
    "docker": {
        "/version": ("get",),
        "/images/create": ("post",),
        "/containers/json": ("get",),
        "/containers/create": ("post",),
        "/containers/{id}": ("delete",),
        "/containers/{id}/json": ("get",),
        "/containers/{id}/logs": ("get",),
        "/containers/{id}/restart": ("post",),
        "/containers/{id}/start": ("post",),
        "/containers/{id}/stop": ("post",),
    },
    "kubernetes": {
        _POD: ("get",),
        _POD + "/{name}": ("get", "patch", "delete"),
        _POD + "/{name}/log": ("get",),
        _APPS + "/deployments/{name}": ("get",),
        _APPS + "/deployments/{name}/scale": ("get", "patch"),
        _APPS + "/replicasets/{name}": ("get",),
        _APPS + "/statefulsets/{name}": ("get",),
        _APPS + "/statefulsets/{name}/scale": ("get", "patch"),
    },
}
#: Keys of a schema or an operation that are words for people.
WORDS = frozenset({"description", "example", "examples", "externalDocs", "summary", "title"})
#: Maps from names to schemas: a name in them may be one of WORDS.
NAMED = frozenset({"definitions", "parameters", "paths", "properties", "responses"})


def cut(whole: dict[str, Any], kept: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """The part of a Swagger 2.0 description that `kept` needs."""
    paths = {path: _operations(whole["paths"][path], methods) for path, methods in kept.items()}
    found: dict[str, dict[str, Any]] = {"definitions": {}, "parameters": {}}
    waiting = _references(paths)
    while waiting:
        section, name = waiting.pop()
        if name not in found[section]:
            found[section][name] = whole[section][name]
            waiting |= _references(whole[section][name])
    kept_as_is = {key: whole[key] for key in ("swagger", "basePath") if key in whole}
    version = {"info": {"version": whole["info"]["version"]}}
    sections = {key: dict(sorted(value.items())) for key, value in found.items() if value}
    return {**kept_as_is, **version, **_wordless({"paths": paths, **sections})}


def _operations(item: dict[str, Any], methods: tuple[str, ...]) -> dict[str, Any]:
    missing = [method for method in methods if method not in item]
    if missing:
        raise SystemExit(f"the description has no {', '.join(missing)} there: {sorted(item)}")
    return {key: value for key, value in item.items() if key in (*methods, "parameters")}


def _references(part: Any) -> set[tuple[str, str]]:
    if isinstance(part, list):
        return set().union(*map(_references, part))
    if not isinstance(part, dict):
        return set()
    found = set().union(*map(_references, part.values()))
    if isinstance(part.get("$ref"), str):
        _, section, name = part["$ref"].split("/", 2)
        found.add((section, name))
    return found


def _wordless(part: Any, *, named: bool = False) -> Any:
    if isinstance(part, list):
        return [_wordless(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        str(key): _wordless(value, named=not named and key in NAMED)
        for key, value in part.items()
        if named or not (key in WORDS or str(key).startswith("x-kubernetes") or key == "x-go-name")
    }


def main() -> None:
    """Write `descriptions/<name>.json`."""
    if len(sys.argv) != 3 or sys.argv[1] not in KEPT:
        raise SystemExit(__doc__)
    name, source = sys.argv[1], Path(sys.argv[2])
    reduced = cut(yaml.safe_load(source.read_text()), KEPT[name])
    TARGET.mkdir(parents=True, exist_ok=True)
    target = TARGET / f"{name}.json"
    target.write_text(json.dumps(reduced, indent=1, sort_keys=True) + "\n")
    print(f"{target}: {len(reduced['paths'])} paths, {len(reduced['definitions'])} definitions")


if __name__ == "__main__":
    main()
