"""The workspace on disk: its lock, its database, and every SQL statement as a typed function.

It never trains, judges or prints; nothing heavy is loaded until one of its modules is imported.
"""
