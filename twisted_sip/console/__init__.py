"""What people and programs look at while a server runs: metrics, and copies of its messages for a capture server."""
