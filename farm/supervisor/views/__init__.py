"""A farm as others see it: screens, monitoring, the service manager. Nothing here changes anything."""
