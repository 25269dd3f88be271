"""Presence: publications, their composition, who may watch whom and sees what, and the formats it is told in."""
