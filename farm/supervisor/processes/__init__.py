"""One process at a time: how zygote, writer and subworkers are started, spoken to and heard, and what they hold of the machine."""
