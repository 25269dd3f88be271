"""Documents that bodies carry, one module per format: read leniently, written as the schemas have them. No I/O."""
