"""The VPS provider: the port (`provider.py`) and its adapter for the REST contract (`rest.py`)."""
