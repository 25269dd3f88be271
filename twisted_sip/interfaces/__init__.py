"""The seams: zope interfaces that a user may provide, and the value classes that cross them."""
