"""Versioned wire shapes that agent and gateway share: standard library only, Python 3.10, no I/O."""
