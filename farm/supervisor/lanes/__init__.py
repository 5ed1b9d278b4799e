"""Jobs in hand: which lane holds them, which one runs them, which are handed on or taken back."""
