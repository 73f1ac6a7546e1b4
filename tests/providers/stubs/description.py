"""Hold requests and answers to a published API description (Swagger 2.0).

Both APIs let a client send what they do not know, and ignore it: a misspelt field would pass. So
objects are closed here: a property or a query parameter that the description does not have is a
violation. So is an answer of a stub that is not as described.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

FOLDER = Path(__file__).parent / "descriptions"
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


class Violation(Exception):
    """A request or an answer that the description does not have."""


class Operation:
    """One method of one path, with the path's own values."""

    def __init__(
        self, whole: Description, template: str, method: str, values: Mapping[str, str]
    ) -> None:
        item = whole.data["paths"][template]
        self.whole = whole
        self.template = template
        self.method = method
        self.values = dict(values)
        self.consumes = item[method].get("consumes", whole.data.get("consumes", [JSON]))
        given = [*item.get("parameters", []), *item[method].get("parameters", [])]
        self.parameters = [whole.resolved(one) for one in given]
        self.responses = item[method]["responses"]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.template}"

    def check_query(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The query's values, of the described types."""
        known = {one["name"]: one for one in self.parameters if one["in"] == "query"}
        for name in query:
            if name not in known:
                raise Violation(f"{self} has no query parameter {name!r}; known: {sorted(known)}")
        for name, one in known.items():
            if one.get("required") and name not in query:
                raise Violation(f"{self} needs the query parameter {name!r}")
        found = {name: _typed(known[name], value) for name, value in query.items()}
        for name, value in found.items():
            self.whole.check(known[name], value, f"{self}, query parameter {name}")
        return found

    def check_body(self, content_type: str, body: bytes) -> Any:
        """The body as JSON; None without one."""
        described = next((one for one in self.parameters if one["in"] == "body"), None)
        if not body:
            if described and described.get("required"):
                raise Violation(f"{self} needs a body")
            return None
        if described is None:
            raise Violation(f"{self} takes no body, got {body[:100]!r}")
        if content_type not in self.consumes and self.consumes != ["*/*"]:
            raise Violation(f"{self} takes {self.consumes}, got {content_type!r}")
        value = json.loads(body)
        if content_type == MERGE_PATCH:
            # The body of a PATCH is described as any object: what it may change is what comes back.
            self.whole.check(self.responses["200"]["schema"], value, f"{self}, body", partial=True)
        else:
            self.whole.check(described["schema"], value, f"{self}, body")
        return value

    def check_answer(self, status: int, value: Any) -> None:
        """What a stub is about to answer; errors apart, whose form both APIs leave open."""
        if str(status) not in self.responses:
            raise Violation(f"{self} does not answer {status}; known: {sorted(self.responses)}")
        schema = self.responses[str(status)].get("schema")
        if schema and status < 400 and not isinstance(value, str | bytes):
            self.whole.check(schema, value, f"{self}, answer {status}")


@functools.cache
def description(name: str) -> Description:
    """The one of that name in `descriptions/`."""
    return Description(name)


class Description:
    """One API."""

    def __init__(self, name: str) -> None:
        self.data: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
        self._validators: dict[tuple[int, bool], Draft202012Validator] = {}
        self._routes = [
            (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))), path)
            for path in self.data["paths"]
        ]

    def operation(self, method: str, path: str) -> Operation:
        """What that request is."""
        for pattern, template in self._routes:
            if match := pattern.fullmatch(path):
                if method.lower() not in self.data["paths"][template]:
                    raise Violation(f"{template} has no {method}")
                return Operation(self, template, method.lower(), match.groupdict())
        raise Violation(f"no path is {path} (or the cut in descriptions/ leaves it out)")

    def resolved(self, parameter: dict[str, Any]) -> dict[str, Any]:
        """A parameter, itself or by reference."""
        name = parameter.get("$ref", "").rpartition("/")[2]
        found: dict[str, Any] = self.data["parameters"][name] if name else parameter
        return found

    def check(
        self, schema: dict[str, Any], value: Any, where: str, *, partial: bool = False
    ) -> None:
        """A value against a schema of this description; `partial`: against a part of it."""
        # The schemas are parts of `data`, which stays.
        key = (id(schema), partial)
        validator = self._validators.get(key)
        if validator is None:
            definitions = self._partial if partial else self._closed
            used = {**_closed(_relaxed(schema) if partial else schema), "definitions": definitions}
            validator = self._validators[key] = Draft202012Validator(used)
        errors = sorted(validator.iter_errors(value), key=lambda one: one.path)
        if errors:
            said = "; ".join(_words(error) for error in errors)
            raise Violation(f"{where}: {said}")

    @functools.cached_property
    def _closed(self) -> dict[str, Any]:
        return {name: _inside(one) for name, one in self.data["definitions"].items()}

    @functools.cached_property
    def _partial(self) -> dict[str, Any]:
        return {name: _inside(_relaxed(one)) for name, one in self.data["definitions"].items()}


def _words(error: ValidationError) -> str:
    """Where and what, and the same for the parts of what may be one of several."""
    inner = "".join(f" ({_words(one)})" for one in error.context)
    return f"{error.json_path}: {error.message[:300]}{inner}"


def _typed(parameter: Mapping[str, Any], value: str) -> Any:
    kind = parameter["type"]
    if kind == "boolean":
        words = {"true": True, "1": True, "false": False, "0": False}
        if value.lower() not in words:
            raise Violation(f"query parameter {parameter['name']}: no boolean: {value!r}")
        return words[value.lower()]
    if kind == "integer":
        if not re.fullmatch(r"-?\d+", value):
            raise Violation(f"query parameter {parameter['name']}: no integer: {value!r}")
        return int(value)
    return value


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema where it is used: no properties but those it knows, in any of its parts."""
    return {**_inside(schema), "unevaluatedProperties": False}


def _inside(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema as JSON Schema has it, closed where it uses others."""
    made = {key: value for key, value in schema.items() if not key.startswith("x-")}
    # Of a parameter, not of a schema.
    for key in ("in", "name", "collectionFormat", "allowEmptyValue"):
        if not isinstance(made.get(key), dict):
            made.pop(key, None)
    if not isinstance(made.get("required", []), list):
        del made["required"]
    if "properties" in made:
        made["properties"] = {key: _closed(one) for key, one in made["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = _closed(made[key])
    if "allOf" in made:
        made["allOf"] = [_inside(one) for one in made["allOf"]]
    if made.get("format") == "int-or-string":
        made["type"] = ["integer", "string"]
    if made.get("type") == "object" and not {"properties", "additionalProperties"} & made.keys():
        made["additionalProperties"] = True
    if schema.get("x-nullable") or schema.get("x-omitempty"):
        return {"anyOf": [made, {"type": "null"}]}
    return made


def _relaxed(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema for a part of what it describes: nothing is required, and null takes away."""
    made = {key: value for key, value in schema.items() if key != "required"}
    if "properties" in made:
        made["properties"] = {
            key: {**_relaxed(one), "x-nullable": True} for key, one in made["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = {**_relaxed(made[key]), "x-nullable": True}
    if "allOf" in made:
        made["allOf"] = [_relaxed(one) for one in made["allOf"]]
    return made
