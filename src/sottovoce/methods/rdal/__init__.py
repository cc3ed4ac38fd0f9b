"""RDAL (Gharib et al. 2024) and its relatives: filters whose features are latents."""
