"""Instant messages in pager mode, kept for those who are away (RFC 3428)."""
