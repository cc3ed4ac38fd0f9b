"""Digit strings: a filter that lets through the digits, and nothing else."""
