"""What static routes are made of: conditions, rewriting, and the places that they lead to."""
