"""Control plane for a fleet of e-mail sending nodes. See README.md for the floors of the house."""
