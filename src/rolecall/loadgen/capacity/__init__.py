"""How much a server carries: the searches behind ``rolecall capacity``."""
