"""A stand-in for the model behind OpenClaw gateways. Nothing picks it but by name."""
