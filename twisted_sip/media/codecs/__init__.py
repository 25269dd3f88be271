"""Codecs: sound to payloads and back; one module for each, and the table of those that are there."""
