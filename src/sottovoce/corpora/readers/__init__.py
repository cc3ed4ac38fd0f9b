"""One file for each corpus; a file in this folder that registers a `Corpus` is all that a new one takes."""
