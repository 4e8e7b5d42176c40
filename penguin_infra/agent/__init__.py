"""What runs on a node: probes, the mail log, and the words with the gateway. Standard library only, Python 3.10."""
