"""Event packages and their hosts: notifier and subscriber sides of RFC 6665, above the element."""
