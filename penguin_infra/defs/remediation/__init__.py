"""One kind of action a file: its sensor and its job side by side."""
