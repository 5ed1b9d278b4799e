"""The command `farm`: one module per command, imported only when it is the one that runs."""
