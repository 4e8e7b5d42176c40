"""Looking at a node from outside: the mail that it sent, and the ports that it opens."""
