"""Our names are OpenTelemetry's, where it has one."""

from __future__ import annotations

from opentelemetry.semconv._incubating.attributes import error_attributes, messaging_attributes

from godel_tasks.telemetry import conventions as c


def test_names_are_those_of_the_conventions() -> None:
    # Given the conventions as OpenTelemetry publishes them
    known = {
        value
        for module in (messaging_attributes, error_attributes)
        for value in vars(module).values()
        if isinstance(value, str)
    }
    # When our names outside `godel.` are looked up there
    ours = {
        value
        for name, value in vars(c).items()
        if name.isupper() and isinstance(value, str) and "." in value
    }
    theirs = {value for value in ours if not value.startswith("godel.")}
    # Then every one of them is known
    assert len(theirs) == 8
    assert theirs <= known
    assert {kind.value for kind in messaging_attributes.MessagingOperationTypeValues} >= {
        *c.OPERATION_TYPES.values()
    }
