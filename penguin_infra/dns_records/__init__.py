"""Publishing the nodes' names, behind one port (`publisher.py`), and looking them up (`lookup.py`)."""
