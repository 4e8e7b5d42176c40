"""What a node's worker is where the operator brings none: shipped as a file, run on the node, imported by nobody."""
