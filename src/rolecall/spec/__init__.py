"""The specification as data: the model of its tables, and how a target reads them."""
