"""What ends jobs, or keeps them from being claimed: deadlines, cancels, memory."""
