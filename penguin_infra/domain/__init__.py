"""Facts and rules of the fleet: standard library only, no clock, no I/O."""
