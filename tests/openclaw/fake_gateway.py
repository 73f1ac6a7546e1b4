"""A program in the gateway's place: it has its configuration, its helper and its manners.

It answers `/readyz` on the configured port. TERM: it writes `finished` beside its configuration
after `--turn` seconds, and ends. Its helper has a session of its own.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--exit", type=int)
    options.add_argument("--never-ready", action="store_true")
    options.add_argument("--deaf", action="store_true", help="to TERM")
    options.add_argument("--helper", action="store_true", help="that outlives it")
    options.add_argument("--turn", type=float, default=0.0, help="seconds that TERM waits for")
    given, _ = options.parse_known_args()  # as the real one is called, too
    config_path = Path(os.environ["OPENCLAW_CONFIG_PATH"])
    config = json.loads(config_path.read_text())
    if given.exit is not None:
        print("Invalid config: gateway.port must be a number", file=sys.stderr)
        sys.exit(given.exit)
    if given.helper:
        sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
        subprocess.Popen(sleeper, start_new_session=True, stdout=subprocess.DEVNULL)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if given.never_ready else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", config["gateway"]["port"]), Handler)

    def finish() -> None:
        time.sleep(given.turn)
        config_path.with_name("finished").touch()
        server.shutdown()

    def told(*_: object) -> None:
        config_path.with_name("told").touch()
        if not given.deaf:
            threading.Thread(target=finish).start()

    signal.signal(signal.SIGTERM, told)
    server.serve_forever()
    os._exit(0)


if __name__ == "__main__":
    main()
