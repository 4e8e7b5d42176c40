"""DNS blacklists: the catalogue of lists and the sweep that asks them. `domain/listing.py` says what an answer means."""
