"""A demo in a folder of its own, which is gone afterwards unless something went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from godel_tasks.demo.interrupting import until_interrupted
from godel_tasks.demo.site import NOTHING, Site, own_environment
from godel_tasks.demo.telling import Telling

Report = dict[str, Any]


def perform(
    story: Callable[[Site], Coroutine[Any, Any, Report]],
    telling: Telling,
    env: Mapping[str, str] = NOTHING,
) -> Report:
    """Run the story in a fresh site, with `env` added to the environment; its report. The folder is
    removed, unless something went wrong: then it is named.

    Raises:
        GodelError: something did not come up, ended, or took too long.
        KeyboardInterrupt: somebody wanted it to end; nothing of it runs any more.
    """
    site = Site.fresh()
    keep = True
    try:
        with own_environment(site, env):
            report = asyncio.run(until_interrupted(story(site), telling.say))
        if report is None:
            raise KeyboardInterrupt
        keep = bool(report["lost"] or report["duplicates"])
        return report
    except KeyboardInterrupt:
        keep = False
        raise
    finally:
        if keep:
            telling.say(f"Journals and logs are kept in {site.root}", style="bold")
        else:
            site.remove()
