"""The ``twisted-sip`` command: users, listings, traces, checks and small client tools."""
