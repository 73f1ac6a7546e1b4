"""`godel tasks submit`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import msgspec
import typer

from godel_tasks.cli.exit_codes import TASK_ENDED_BADLY
from godel_tasks.cli.output import AsJson, answer, facts
from godel_tasks.cli.session import opened
from godel_tasks.cli.values import capabilities_of, pairs_of, priority_of, time_of
from godel_tasks.errors import PayloadNotSerializable
from godel_tasks.policy.admission import request_of

_TIME = "SECONDS|TIME"


def submit(
    tenant: Annotated[str, typer.Argument(metavar="TENANT")],
    payload: Annotated[
        str, typer.Argument(metavar="PAYLOAD", help="JSON, or - to read it from standard input.")
    ],
    text: Annotated[
        bool, typer.Option("--text", help="The payload is text, not JSON; it is sent as a string.")
    ] = False,
    as_bytes: Annotated[
        bool, typer.Option("--bytes", help="The payload is bytes, sent as they are.")
    ] = False,
    priority: Annotated[
        str, typer.Option(metavar="LEVEL", help="critical, high, normal, low; or 0-9, 0 first.")
    ] = "normal",
    deadline: Annotated[str, typer.Option(metavar=_TIME, help="Finish by.")] = "",
    expires: Annotated[str, typer.Option(metavar=_TIME, help="Start by.")] = "",
    countdown: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Not before so long from now.")
    ] = None,
    eta: Annotated[str, typer.Option(metavar="TIME", help="Not before this time.")] = "",
    capability: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION", help="What an instance must offer, as gpu=yes, ram>=16. Repeat it."
        ),
    ] = None,
    prefer: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="What it would rather have there. Repeat it."),
    ] = None,
    region: Annotated[str, typer.Option(help="The only region it may run in.")] = "",
    instance: Annotated[str, typer.Option(help="The only instance it may run on.")] = "",
    session_id: Annotated[str, typer.Option(help="The session that it belongs to.")] = "",
    session_affinity: Annotated[
        str, typer.Option(help="If the session is new: soft (it may move) or hard.")
    ] = "",
    strategy: Annotated[
        str,
        typer.Option(
            help="How its instance is picked: least-loaded, round-robin, geo-aware[=REGION,...], "
            "capability-aware, fallback=STEP,..."
        ),
    ] = "",
    max_attempts: Annotated[int | None, typer.Option(help="Most attempts.")] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Longest time of one attempt.")
    ] = None,
    correlation_id: Annotated[str, typer.Option(help="Travels with the task.")] = "",
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Travels too. Repeat it.")
    ] = None,
    on_uncertain: Annotated[
        str, typer.Option(help="When an attempt may have run: retry, hold, fail.")
    ] = "",
    task_id: Annotated[str, typer.Option(help="Its id. The same id again is not run twice.")] = "",
    ignore_result: Annotated[bool, typer.Option("--ignore-result", help="Keep no result.")] = False,
    require_routable: Annotated[
        bool, typer.Option("--require-routable", help="Refuse it if no instance could run it now.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end and show it.")] = False,
    wait_timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Wait so long at most.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Submit one task. With --wait, exit code 8 says that it did not succeed."""
    given: dict[str, Any] = {
        "deadline": time_of(deadline),
        "expires": time_of(expires),
        "countdown": countdown,
        "eta": time_of(eta),
        "capabilities": capabilities_of(capability or [], option="--capability"),
        "prefer": capabilities_of(prefer or [], option="--prefer"),
        "region": region,
        "instance": instance,
        "session_id": session_id,
        "session_affinity": session_affinity,
        "strategy": strategy,
        "max_attempts": max_attempts,
        "timeout": timeout,
        "correlation_id": correlation_id,
        "headers": pairs_of(header or [], option="--header"),
        "on_uncertain": on_uncertain,
        "task_id": task_id,
        "ignore_result": ignore_result,
    }
    fields = {name: value for name, value in given.items() if value not in ("", None, {}, False)}
    fields |= {"tenant_id": tenant, "priority": priority_of(priority)}
    fields["payload"] = _payload(payload, text=text, as_bytes=as_bytes)
    if wait and ignore_result:
        raise typer.BadParameter("There is nothing to wait for with --ignore-result.")
    _submit(
        fields,
        require_routable=require_routable,
        wait=wait or wait_timeout is not None,
        wait_timeout=wait_timeout,
        as_json=as_json,
    )


def _submit(
    fields: dict[str, Any],
    *,
    require_routable: bool,
    wait: bool,
    wait_timeout: float | None,
    as_json: bool,
) -> None:
    from godel_tasks.cli.waiting import wait_for
    from godel_tasks.submission import submit_one

    with opened() as runtime:
        accepted = submit_one(runtime, request_of(fields), require_routable=require_routable)
        data: dict[str, Any] = {"task_id": accepted, "tenant": fields["tenant_id"]}
        if not wait:
            answer(
                as_json,
                data,
                f"Accepted as {accepted}.",
                f"Follow it with `godel tasks show {accepted}`.",
            )
            return
        ending = wait_for(runtime, accepted, wait_timeout)
    data |= {
        "state": ending.state.value,
        "instance": ending.instance_id,
        "attempts": ending.attempts,
        "run_ms": ending.run_ms,
    }
    if ending.ok:
        data["result"] = ending.result
        shown = msgspec.json.encode(ending.result).decode()
        answer(as_json, data, facts({**data, "result": shown}))
        return
    data["error"] = {
        "type": ending.error_type,
        "message": ending.error_message,
        "hint": f"See `godel tasks show {accepted}`.",
    }
    error = f"{ending.error_type}: {ending.error_message}"
    answer(as_json, data, facts({**data, "error": error}))
    raise typer.Exit(TASK_ENDED_BADLY)


def _payload(given: str, *, text: bool, as_bytes: bool) -> Any:
    """Raises: PayloadNotSerializable: it is not the JSON that it should be."""
    if text and as_bytes:
        raise typer.BadParameter("Give --text or --bytes, not both.")
    raw = sys.stdin.buffer.read() if given == "-" else given.encode("utf-8", "surrogateescape")
    if as_bytes:
        return raw
    try:
        return raw.decode() if text else msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PayloadNotSerializable(
            f"the payload is not {'text' if text else 'JSON'}: {error}",
            hint="quote JSON for the shell; --text sends text as it is, --bytes sends bytes",
        ) from error
