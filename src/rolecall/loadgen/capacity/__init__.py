"""The searches behind ``rolecall capacity``: how much a server carries."""
