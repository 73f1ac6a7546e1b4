"""The `openclaw` driver: OpenClaw gateways, over their WebSocket protocol."""
