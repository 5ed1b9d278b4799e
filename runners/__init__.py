"""The runners that come with farm, one module each."""
