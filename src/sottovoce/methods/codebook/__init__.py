"""Codebook filters: one of K codes per block and task leaves, and nothing else."""
