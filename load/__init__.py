"""What a load engineer reads and edits: the locustfile and the Locust user classes."""
