"""Dialogs and their usages: INVITE sessions (RFC 3261 sections 12 to 15) and subscriptions (RFC 6665). No I/O."""
