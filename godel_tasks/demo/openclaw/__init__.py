"""The demo with real OpenClaw gateways, and a stand-in in place of their model."""
