"""ADR (Noé et al. 2021): filters whose features are embeddings without a declared attribute."""
