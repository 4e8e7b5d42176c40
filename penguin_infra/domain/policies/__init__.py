"""One rule a file: facts, limits and now in, actions with reason and evidence out."""
