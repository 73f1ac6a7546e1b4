"""Nothing outlives its owner, even one that was killed with SIGKILL.

A small shell process holds the read end of a pipe whose write end only the owner has. When the
owner ends, however it ends, the pipe closes, and the shell ends the process groups that it was told
about. Unlike `PR_SET_PDEATHSIG` this works on macOS too, and does not mistake the end of the thread
that started a process for the end of the owner.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

# First the ordinary groups, then the `last` ones (the server, so that the others can still write
# to it): TERM, up to GRACE tenths of a second, KILL.
_SCRIPT = r"""
trap '' INT TERM HUP
first='' last=''
drop() { for p in $1; do [ "$p" = "$2" ] || printf '%s ' "$p"; done; }
end() {
  for p in $1; do kill -s TERM -- "-$p" 2>/dev/null; done
  i=0
  while [ "$i" -lt "$GRACE" ]; do
    alive=''
    for p in $1; do kill -s 0 -- "-$p" 2>/dev/null && alive=1; done
    [ -z "$alive" ] && return
    sleep 0.1
    i=$((i + 1))
  done
  for p in $1; do kill -s KILL -- "-$p" 2>/dev/null; done
}
while read -r verb pid; do
  case $verb in
    first) first="$first $pid" ;;
    last) last="$last $pid" ;;
    forget) first=$(drop "$first" "$pid"); last=$(drop "$last" "$pid") ;;
  esac
done
end "$first"
end "$last"
"""


class Guard:
    """Ends process groups when this process is gone.

    `grace_s` is how long a group has between TERM and KILL. Where there is no `sh`, the guard
    guards nothing.
    """

    def __init__(self, *, grace_s: float = 10.0) -> None:
        self._grace_s = grace_s
        self._shell: subprocess.Popen[bytes] | None = None

    def watch(self, pid: int, *, last: bool = False) -> None:
        """End the process group led by `pid` with this process; `last` ones after the others."""
        self._tell("last" if last else "first", pid)

    def forget(self, pid: int) -> None:
        """That group has ended: its number may come to belong to somebody else."""
        if self._shell is not None:
            self._tell("forget", pid)

    def close(self) -> None:
        """End what is still watched, and come back at once."""
        shell, self._shell = self._shell, None
        if shell is not None and shell.stdin is not None:
            with contextlib.suppress(OSError):
                shell.stdin.close()
            # The shell ends in a moment when nothing is watched; reap it if it does.
            with contextlib.suppress(subprocess.TimeoutExpired):
                shell.wait(timeout=0.5)

    def _tell(self, verb: str, pid: int) -> None:
        shell = self._shell or self._open()
        if shell is not None and shell.stdin is not None:
            with contextlib.suppress(OSError):
                shell.stdin.write(f"{verb} {pid}\n".encode())

    def _open(self) -> subprocess.Popen[bytes] | None:
        sh = shutil.which("sh")
        if sh is None:
            return None
        self._shell = subprocess.Popen(
            [sh, "-c", _SCRIPT, "godel-guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # a Ctrl-C at the terminal is for the owner only
            env={**os.environ, "GRACE": str(max(1, round(self._grace_s * 10)))},
        )
        return self._shell
