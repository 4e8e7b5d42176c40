"""Turning a bare host into a sending node, behind one port (`installer.py`)."""
