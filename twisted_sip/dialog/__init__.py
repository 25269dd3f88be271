"""Dialogs and their usages: RFC 3261 section 12, RFC 5057, and the subscription usage of RFC 6665. No I/O."""
