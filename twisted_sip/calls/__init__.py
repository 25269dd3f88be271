"""Calls that pass: a bounded tracker of INVITE dialogs."""
