-- Wait for no lock for longer than that, in this transaction: a vacuum may have it for hours.
SET LOCAL lock_timeout = '100ms'
