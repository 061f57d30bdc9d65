"""A program with a mistake of its own."""

settings = {}
print(settings["nowhere"])
