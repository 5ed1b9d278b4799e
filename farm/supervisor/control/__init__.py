"""How a running farm is told what to do, and does it."""
