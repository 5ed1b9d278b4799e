"""What is counted for whoever looks: what jobs came to, and what the parts of the supervisor have done."""
