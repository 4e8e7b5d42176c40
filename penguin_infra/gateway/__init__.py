"""The HTTP API: telemetry in, operators' commands, rotation out. Rules and SQL stand on lower floors."""
