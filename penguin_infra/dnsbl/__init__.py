"""DNS blacklists: the catalogue of lists and the sweep that asks them. `domain/listing.py` judges the answers."""
