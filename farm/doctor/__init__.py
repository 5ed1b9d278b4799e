"""What is wrong with this host and its database, or could be better: `farm doctor`.

`host` and `database` judge figures, and know neither files nor statements; `measures`, `server` and `embedded` take those figures.
"""
