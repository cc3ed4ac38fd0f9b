"""The protection methods, one folder each: how a filter is trained."""
