"""What a farm tells monitoring systems: numbers in the Prometheus text format, and whether it makes progress, over HTTP."""
