"""Assets that tell people."""
