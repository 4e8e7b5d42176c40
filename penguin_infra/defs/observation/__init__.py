"""Assets that ask the world and write facts."""
