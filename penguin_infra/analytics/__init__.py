"""Data frames and their schemas: what goes into the tables that analysts read, and what comes out of them.

The daily report (`fleet_report.py` and `report_*.py`) is made here too, of sums that need no frames.

Rules are the domain's, queries the store's. Importing pandas takes a good second with its checks: whoever answers
within seconds (sensors, the commands, the code location's load) imports from here when a frame is really needed.
"""
