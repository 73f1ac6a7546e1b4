"""Real OpenClaw gateways on this machine: installed, configured, run as processes, registered."""
