"""Digit strings: a filter that lets through which digits were said."""
