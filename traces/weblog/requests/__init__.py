"""From the lines of a log to the requests of a trace: order, sizes, lifetimes, costs."""
