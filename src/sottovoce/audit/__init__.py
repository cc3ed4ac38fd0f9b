"""How bad it is: protocol, numbers with intervals, report."""
