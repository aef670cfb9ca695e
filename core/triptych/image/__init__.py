"""Pictures: reading and writing them, tiles, and the tasks that work on them."""
